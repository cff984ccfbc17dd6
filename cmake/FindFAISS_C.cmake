# Finds FAISS with its C API: the prefix that ./setup fills, or the system's libfaiss-dev (Debian 13 on).
#
# Imported target: FAISS::C. Hint: -DFAISS_C_ROOT=DIR, or the variable HEMLINE_DEPS in the environment.

if(DEFINED ENV{HEMLINE_DEPS})
  set(_faiss_deps "$ENV{HEMLINE_DEPS}")
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(_faiss_deps "$ENV{XDG_CACHE_HOME}/hemline")
else()
  set(_faiss_deps "$ENV{HOME}/.cache/hemline")
endif()

find_path(FAISS_C_INCLUDE_DIR faiss/c_api/Index_c.h HINTS "${FAISS_C_ROOT}/include" "${_faiss_deps}/faiss/include")
find_library(FAISS_C_LIBRARY NAMES libfaiss_c.a faiss_c HINTS "${FAISS_C_ROOT}/lib" "${_faiss_deps}/faiss/lib")
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
endif()
mark_as_advanced(FAISS_C_INCLUDE_DIR FAISS_C_LIBRARY FAISS_LIBRARY)
