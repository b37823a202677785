# What `cmake --install` lays down: public headers, the shared libraries, the program, a CMake package, pkg-config files.
include(CMakePackageConfigHelpers)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/lattice" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(TARGETS ${lattice_public_libraries} EXPORT lattice_targets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
if(TARGET lattice_cli)
  # Found beside its libraries wherever the prefix is moved to.
  file(RELATIVE_PATH lattice_bin_to_lib "/${CMAKE_INSTALL_BINDIR}" "/${CMAKE_INSTALL_LIBDIR}")
  set_target_properties(lattice_cli PROPERTIES INSTALL_RPATH "$ORIGIN/${lattice_bin_to_lib}")
  install(TARGETS lattice_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
if(TARGET lattice_io)
  set_target_properties(lattice_io PROPERTIES INSTALL_RPATH "$ORIGIN")
endif()

set(lattice_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/lattice")
install(EXPORT lattice_targets NAMESPACE lattice:: FILE lattice-targets.cmake DESTINATION "${lattice_package_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/lattice-config.cmake.in"
                              "${PROJECT_BINARY_DIR}/lattice-config.cmake" INSTALL_DESTINATION "${lattice_package_dir}")
# Before 1.0 a minor version may break the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/lattice-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/lattice-config.cmake" "${PROJECT_BINARY_DIR}/lattice-config-version.cmake"
        DESTINATION "${lattice_package_dir}")

# The prefix is found from the .pc file's own place, so that `cmake --install --prefix` and moved trees work.
file(RELATIVE_PATH lattice_pc_to_prefix "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
function(lattice_install_pkgconfig name)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in" "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()
lattice_install_pkgconfig(lattice)
if(TARGET lattice_io)
  lattice_install_pkgconfig(lattice_io)
endif()

# Inside a Python wheel (pyproject.toml) the shared libraries lie in the package, each as one file, since wheels keep no
# symbolic links; they find one another by $ORIGIN.
if(SKBUILD)
  set_target_properties(${lattice_public_libraries} PROPERTIES VERSION 0 SOVERSION 0 INSTALL_RPATH "$ORIGIN")
  install(TARGETS ${lattice_public_libraries} LIBRARY DESTINATION lattice/_libraries COMPONENT python NAMELINK_SKIP)
endif()
