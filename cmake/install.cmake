# What `cmake --install` puts where, and how other projects find it (pkg-config and CMake).
include(CMakePackageConfigHelpers)

install(TARGETS hemline RUNTIME)
install(FILES include/hemline.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# The static form is installed as an archive to be linked with the libraries that `pkg-config --static` lists.
install(TARGETS hemline_static ARCHIVE)

set(HEMLINE_PC_PRIVATE "-lstdc++ -lgomp -lm -lpthread")
foreach(library ${FAISS_C_LIBRARY} ${FAISS_LIBRARY} ${LAPACK_LIBRARIES} ${BLAS_LIBRARIES} ${HDF5_C_LIBRARIES})
  string(PREPEND HEMLINE_PC_PRIVATE "${library} ")
endforeach()
set(HEMLINE_PC_REQUIRES "jansson, libcrypto, zlib")
if(VIPS_FOUND)
  string(APPEND HEMLINE_PC_REQUIRES ", vips")
endif()
configure_file(cmake/hemline.pc.in hemline.pc @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/hemline.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET hemline_shared)
  install(TARGETS hemline_shared LIBRARY)
  configure_package_config_file(cmake/hemline-config.cmake.in hemline-config.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hemline
    PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
  write_basic_package_version_file(hemline-config-version.cmake COMPATIBILITY SameMinorVersion)
  install(FILES "${CMAKE_BINARY_DIR}/hemline-config.cmake" "${CMAKE_BINARY_DIR}/hemline-config-version.cmake"
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hemline)
endif()
