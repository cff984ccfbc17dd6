# What `cmake --install` puts where, and how other projects find it (pkg-config and CMake).
include(CMakePackageConfigHelpers)

install(TARGETS hemline RUNTIME)
install(FILES include/hemline.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# The static form is installed as an archive to be linked with the libraries that `pkg-config --static` lists.
install(TARGETS hemline_static ARCHIVE)

# In the order in which a linker wants static libraries. A FAISS of ./setup's making lies in a cache, so it is
# installed with the archive that needs it.
set(HEMLINE_PC_PRIVATE "")
foreach(library ${FAISS_C_LIBRARY} ${FAISS_LIBRARY})
  if(library MATCHES "\\.a$" AND NOT library MATCHES "^/usr/")
    install(FILES ${library} DESTINATION ${CMAKE_INSTALL_LIBDIR}/hemline)
    get_filename_component(name ${library} NAME)
    set(library "\${libdir}/hemline/${name}")
  endif()
  string(APPEND HEMLINE_PC_PRIVATE "${library} ")
endforeach()
foreach(library ${LAPACK_LIBRARIES} ${BLAS_LIBRARIES} ${HDF5_C_LIBRARIES})
  string(APPEND HEMLINE_PC_PRIVATE "${library} ")
endforeach()
string(APPEND HEMLINE_PC_PRIVATE "-lstdc++ -lgomp -lm -lpthread")
set(HEMLINE_PC_REQUIRES "jansson, libcrypto, zlib")
if(VIPS_FOUND)
  string(APPEND HEMLINE_PC_REQUIRES ", vips, libjpeg")
endif()
if(AV1_FOUND)
  string(APPEND HEMLINE_PC_REQUIRES ", libheif, dav1d")
endif()
# The prefix may be named as late as `cmake --install --prefix`: it is found from where the file lies.
file(RELATIVE_PATH HEMLINE_PC_TO_PREFIX "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
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

if(EXISTS "${CMAKE_SOURCE_DIR}/data/hemnet.onnx")
  install(FILES data/hemnet.onnx DESTINATION ${CMAKE_INSTALL_DATADIR}/hemline)
endif()
install(FILES examples/search.c examples/hemline.py DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES docs/hemline.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES cli/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME hemline)
configure_file(data/systemd/hemline.service.in hemline.service @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/hemline.service" data/systemd/hemline.socket DESTINATION lib/systemd/system)
