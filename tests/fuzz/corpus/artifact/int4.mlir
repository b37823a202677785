// every liberty that the grammar has
module @net attributes {lattice.ir_version = 2 : i64, test.flag, test.list = [1, {a = "}"}, #b<1, 2>],
"lattice.schema_digest" = "1380f1e819fc0eb1af587202ecec3c14ec2c981d249333c5061f0263f82072ad",
  lattice.input_names = ["x_coords", "x_features", "x_active"], // names
  lattice.input_roles = ["sparse_coords", "sparse_features", "sparse_active"],
  lattice.output_names = ["output"], lattice.output_roles = ["tensor"],
  lattice.weight_file = "weights.safetensors"
} {
  func.func public @"forward"(%c: tensor<?x4xi32> {a.b = 1}, %f: tensor<? x 32 x f16>, %0: tensor<1xi32>) -> (tensor<?x8xf16>) attributes {x = {y = 1}} {
  ^bb0:
    %x = lattice.sparse.make %c, %f, %0#0 {coord_order = #lattice.coord<"batch_x_y_z">, stride = array<i64: 1, 1, 1>} : (tensor<?x4xi32>, tensor<?x32xf16>, tensor<1xi32>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f16>
    %w = lattice.weight @"stem q" {storage_key = "stem.q", layout = #lattice.weight_layout<conv3d_o_xyz_i>, packing = #lattice.packing<int4, group_size = 32, scale_dtype = "f16", mode = affine>} : !lattice.weight<conv3d, i4>
    %b = lattice.weight @stem.b {storage_key = "stem.b\69as", layout = #lattice.weight_layout<bias_c>, packing = #lattice.packing<dense>} : !lattice.weight<bias, f16>
    %y = lattice.subm_conv3d %x, %w, %b {kernel_size = array<i64: 3, 3, 3>, dilation = array<i64: 1, 1, 1>, accumulation = "canonical_f32"} : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f16>, !lattice.weight<conv3d, i4>, !lattice.weight<bias, f16>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f16>
    %d:3 = lattice.sparse.decompose %y : !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f16> -> (tensor<?x4xi32>, tensor<?x8xf16>, tensor<1xi32>)
    %r = lattice.activation %d#1 {kind = #lattice.activation<relu>, approximate = #lattice.gelu_approx<none>, alpha = 1.0e-2 : f32, beta = 1. : f32, threshold = 0x7F800000 : f32} : (tensor<?x8xf16>) -> tensor<?x8xf16>
    %z = lattice.sparse.with_features %y, %r : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f16>, tensor<?x8xf16>) -> !lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f16>
    %g = lattice.global_pool %z {mode = #lattice.pool_mode<avg>, batch_size = -1 : i64} : (!lattice.sparse_tensor<rank = 3, coord = batch_x_y_z, feature = row_channel, dtype = f16>) -> tensor<?x8xf16>
    func.return %g : tensor<?x8xf16>
  }
}
// the end