# Finds ONNX Runtime's C header and its library: what ./setup keeps, or the system's libonnxruntime-dev (Debian 13 on).
#
# OnnxRuntime_INCLUDE_DIR, OnnxRuntime_LIBRARY: the library is named to be loaded at run time, never linked, which
# would tie a program to the one version it was built with. Another one: -DOnnxRuntime_ROOT=DIR, with DIR/include, DIR/lib.

if(NOT "$ENV{HEMLINE_DEPS}" STREQUAL "")
  set(_onnx_deps "$ENV{HEMLINE_DEPS}")
elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(_onnx_deps "$ENV{XDG_CACHE_HOME}/hemline")
else()
  set(_onnx_deps "$ENV{HOME}/.cache/hemline")
endif()

set(_onnx_places HINTS "${OnnxRuntime_ROOT}" "${_onnx_deps}/onnxruntime" PATH_SUFFIXES include onnxruntime lib)
find_path(OnnxRuntime_INCLUDE_DIR onnxruntime_c_api.h ${_onnx_places})
find_library(OnnxRuntime_LIBRARY NAMES libonnxruntime.so.1 onnxruntime ${_onnx_places})
# Debian's libonnxruntime.so is a link that only the -dev package has; what it points to is there at run time too.
if(OnnxRuntime_LIBRARY MATCHES "\\.so$" AND IS_SYMLINK "${OnnxRuntime_LIBRARY}")
  file(READ_SYMLINK "${OnnxRuntime_LIBRARY}" _onnx_target)
  get_filename_component(_onnx_dir "${OnnxRuntime_LIBRARY}" DIRECTORY)
  get_filename_component(OnnxRuntime_LIBRARY "${_onnx_target}" ABSOLUTE BASE_DIR "${_onnx_dir}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OnnxRuntime
  REQUIRED_VARS OnnxRuntime_LIBRARY OnnxRuntime_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run ./setup, which fetches it")
mark_as_advanced(OnnxRuntime_INCLUDE_DIR OnnxRuntime_LIBRARY)
