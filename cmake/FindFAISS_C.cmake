# Finds FAISS with its C API: the prefix that ./setup fills, or the system's libfaiss-dev (Debian 13 on).
#
# Imported target: FAISS::C. Another FAISS: -DFAISS_C_ROOT=DIR, with DIR/include/faiss/c_api and DIR/lib.
# FAISS_C_SHAREABLE: whether it can be linked into a shared library. Debian's libfaiss_c.a cannot: it is not
# position-independent.

if(NOT "$ENV{HEMLINE_DEPS}" STREQUAL "")
  set(_faiss_deps "$ENV{HEMLINE_DEPS}")
elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(_faiss_deps "$ENV{XDG_CACHE_HOME}/hemline")
else()
  set(_faiss_deps "$ENV{HOME}/.cache/hemline")
endif()

set(_faiss_places HINTS "${FAISS_C_ROOT}" "${_faiss_deps}/faiss" PATH_SUFFIXES include lib)
find_path(FAISS_C_INCLUDE_DIR faiss/c_api/Index_c.h ${_faiss_places})
find_library(FAISS_C_LIBRARY NAMES libfaiss_c.a faiss_c ${_faiss_places})
# The core library that lies beside the C API belongs to it; another build of FAISS would not match.
get_filename_component(_faiss_lib_dir "${FAISS_C_LIBRARY}" DIRECTORY)
find_library(FAISS_LIBRARY NAMES libfaiss_avx2.a libfaiss.a faiss HINTS "${_faiss_lib_dir}")

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(FAISS_C
  REQUIRED_VARS FAISS_C_LIBRARY FAISS_LIBRARY FAISS_C_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run ./setup, which installs or builds it")

if(FAISS_C_FOUND AND NOT TARGET FAISS::C)
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  find_package(BLAS REQUIRED)
  find_package(LAPACK REQUIRED)
  add_library(FAISS::C INTERFACE IMPORTED)
  set_target_properties(FAISS::C PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${FAISS_C_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "${FAISS_C_LIBRARY};${FAISS_LIBRARY};OpenMP::OpenMP_CXX;${LAPACK_LIBRARIES};${BLAS_LIBRARIES};stdc++;m")

  set(_faiss_probe "${CMAKE_BINARY_DIR}/CMakeFiles/faiss_probe.c")
  file(WRITE "${_faiss_probe}" "int faiss_Index_free(void *);\nint main(void) { return faiss_Index_free(0); }\n")
  try_compile(FAISS_C_SHAREABLE "${CMAKE_BINARY_DIR}/CMakeFiles/faiss_probe" SOURCES "${_faiss_probe}"
    COMPILE_DEFINITIONS -fPIC LINK_OPTIONS -shared LINK_LIBRARIES "${FAISS_C_LIBRARY}" "${FAISS_LIBRARY}")
endif()
mark_as_advanced(FAISS_C_INCLUDE_DIR FAISS_C_LIBRARY FAISS_LIBRARY)
