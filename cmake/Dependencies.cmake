# The libraries that the project depends on. If a library is installed (Debian packages, see ./run) CMake uses it.
# Otherwise CMake downloads and builds it. Both have the same find_package() name.
include(FetchContent)
set(PLASTICITY_FETCHED)  # downloaded libraries that an installed static library would need

# plasticity_dependency(NAME find_package-arguments... FETCH FetchContent-arguments...)
macro(plasticity_dependency name)
  cmake_parse_arguments(_dep "" "" "FETCH" ${ARGN})
  find_package(${name} ${_dep_UNPARSED_ARGUMENTS} QUIET)
  if(NOT ${name}_FOUND)
    message(STATUS "${name} is not installed: fetching it")
    if("${name}" MATCHES "^(PNG|ZLIB)$")
      list(APPEND PLASTICITY_FETCHED ${name})
    endif()
    FetchContent_Declare(${name} ${_dep_FETCH} OVERRIDE_FIND_PACKAGE)
    find_package(${name} REQUIRED)
  endif()
endmacro()

find_package(Threads REQUIRED)

# Builds only the libraries of the downloaded projects and installs nothing: their export sets would depend on each other.
# libplasticity.so contains zlib and libpng, so they are compiled for a shared library.
set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)  # libpng and zlib request an older CMake, whose option() overrides these variables
set(SKIP_INSTALL_ALL ON)
set(PNG_TESTS OFF)
set(PNG_TOOLS OFF)
set(PNG_SHARED OFF)
set(ZLIB_BUILD_EXAMPLES OFF)
set(INSTALL_GTEST OFF)
set(BENCHMARK_ENABLE_TESTING OFF)
set(BENCHMARK_ENABLE_INSTALL OFF)
plasticity_dependency(ZLIB FETCH
  URL https://github.com/madler/zlib/releases/download/v1.3.1/zlib-1.3.1.tar.gz)
if(TARGET zlibstatic AND NOT TARGET ZLIB::ZLIB)
  set(ZLIB_INCLUDE_DIRS ${zlib_SOURCE_DIR} ${zlib_BINARY_DIR})  # libpng's configuration reads zlib.h
  target_include_directories(zlibstatic INTERFACE ${ZLIB_INCLUDE_DIRS})
  set_target_properties(zlibstatic PROPERTIES POSITION_INDEPENDENT_CODE ON)
  add_library(ZLIB::ZLIB ALIAS zlibstatic)
endif()
plasticity_dependency(PNG FETCH
  URL https://github.com/pnggroup/libpng/archive/refs/tags/v1.6.44.tar.gz)
if(TARGET png_static AND NOT TARGET PNG::PNG)
  target_include_directories(png_static INTERFACE ${png_SOURCE_DIR} ${png_BINARY_DIR})
  set_target_properties(png_static PROPERTIES POSITION_INDEPENDENT_CODE ON)
  add_library(PNG::PNG ALIAS png_static)
endif()
plasticity_dependency(nlohmann_json 3.11 FETCH
  URL https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz)

if(PLASTICITY_TOOL OR PLASTICITY_EXAMPLES OR PLASTICITY_BENCH)
  plasticity_dependency(CLI11 2.1 FETCH
    URL https://github.com/CLIUtils/CLI11/archive/refs/tags/v2.4.2.tar.gz)
endif()
if(PLASTICITY_TESTS)
  plasticity_dependency(GTest 1.12 FETCH
    URL https://github.com/google/googletest/archive/refs/tags/v1.14.0.tar.gz)
endif()
