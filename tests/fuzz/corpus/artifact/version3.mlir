module attributes {
  lattice.ir_version = 3,
  lattice.schema_digest = "5bdbc16b5ecd7456a5c1b4c54c0880e0ebd506e6e7ac29c5981f15ff9e2c14f8",
  lattice.input_names = ["rows", "feats", "active", "points", "batch", "ids"],
  lattice.input_roles = ["sparse_coords", "sparse_features", "sparse_active", "tensor", "tensor", "tensor"],
  lattice.output_names = ["a", "b", "c"],
  lattice.output_roles = ["sparse_tensor", "tensor", "tensor"],
  lattice.weight_file = "weights.safetensors"
} {
  func.func @forward(%rows: tensor<?x4xi32>, %feats: tensor<?x4xf32>, %active: tensor<1xi32>, %points: tensor<?x3xf32>,
      %batch: tensor<?xi32>, %ids: tensor<?xi32>) -> (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>, tensor<?x4xf32>, tensor<?x4xf32>) {
    %x = lattice.sparse.make %rows, %feats, %active {stride = array<i64: 1, 1, 1>, coord_order = #lattice.coord<batch_x_y_z>, axes = #lattice.axes<zyx>, duplicates = #lattice.duplicates<mean>} : (tensor<?x4xi32>, tensor<?x4xf32>, tensor<1xi32>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
    %w = lattice.weight @w {storage_key = "conv.weight", layout = #lattice.weight_layout<conv3d_o_xyz_i>, packing = #lattice.packing<dense>} : !lattice.weight<conv3d, f32>
    %c = lattice.weight @c {storage_key = "norm.weight", layout = #lattice.weight_layout<channel_c>, packing = #lattice.packing<dense>} : !lattice.weight<channel, f32>
    %b = lattice.weight @b {storage_key = "norm.bias", layout = #lattice.weight_layout<bias_c>, packing = #lattice.packing<dense>} : !lattice.weight<bias, f32>
    %k0 = lattice.conv3d %x, %w {kernel_size = array<i64: 3, 3, 3>, stride = array<i64: 1, 1, 1>, padding = array<i64: 0, 0, 0>, dilation = array<i64: 1, 1, 1>, accumulation = "canonical_f32", support = #lattice.support<reach>, bounds = array<i64: 9, 8, 7>, groups = 2} : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>, !lattice.weight<conv3d, f32>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
    %k1 = lattice.pool3d %k0 {mode = #lattice.pool_mode<max>, kernel_size = array<i64: 3, 3, 3>, stride = array<i64: 1, 1, 1>, padding = array<i64: 0, 0, 0>, dilation = array<i64: 1, 1, 1>, support = #lattice.support<reach>} : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
    %k2 = lattice.instance_norm %k1, %c, %b {eps = 0.00001 : f32} : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>, !lattice.weight<channel, f32>, !lattice.weight<bias, f32>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
    %k3 = lattice.group_norm %k2 {eps = 0.00001 : f32, groups = 2} : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
    %k4 = lattice.sparse.cat %k3, %x, %k2 {join = #lattice.join<outer>} : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>, !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>, !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
    %v = lattice.voxelize %points, %feats, %batch, %active {voxel_size = array<f64: 0.5, 0.5, 1.0>, origin = array<f64: 0.0, -1.5, 0.0>, reduction = #lattice.voxel_reduction<max>, stride = array<i64: 1, 1, 1>} : (tensor<?x3xf32>, tensor<?x4xf32>, tensor<?xi32>, tensor<1xi32>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
    %k5 = lattice.concat_reduce %k3, %x, %v {duplicates = #lattice.duplicates<max>} : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>, !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>, !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>
    %z = lattice.to_dense %k5 {min_coord = array<i64: -2, 0, 0>, shape = array<i64: 0, 0, 0>, batch_size = -1, layout = #lattice.dense_layout<channels_first>, fold = #lattice.fold<z>, outside = #lattice.outside<drop>} : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>) -> tensor<?x?x?x?xf32>
    %n = lattice.batch_norm %feats, %c, %b {eps = 0.001 : f32, momentum = 0.02 : f32} : (tensor<?x4xf32>, !lattice.weight<channel, f32>, !lattice.weight<bias, f32>) -> tensor<?x4xf32>
    %g = lattice.dropout %n {p = 0.5 : f32} : (tensor<?x4xf32>) -> tensor<?x4xf32>
    return %k4, %g, %g : !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f32>, tensor<?x4xf32>, tensor<?x4xf32>
  }
}
