# The library's header, GoogleTest and the standard headers take half of the time of compiling a test. They are compiled once
# for all tests with the same options.

# plasticity_precompiled_headers(NAME OPTIONS ...): adds a target whose precompiled headers (tests/precompiled.hpp) others reuse.
function(plasticity_precompiled_headers name)
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/tests/precompiled.cpp)
  target_link_libraries(${name} PRIVATE GTest::gtest)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include)
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_precompile_headers(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/precompiled.hpp)
  plasticity_warnings(${name})
  target_compile_options(${name} PRIVATE ${ARGN})
endfunction()

# plasticity_reuse_headers(NAME HEADERS): the target NAME, which has the same options, reuses those of HEADERS.
function(plasticity_reuse_headers name headers)
  target_precompile_headers(${name} REUSE_FROM ${headers})
  # GCC 12 does not suppress its false warnings in std::string (its bugs 105329 and 105651) if it comes from such a header.
  target_compile_options(${name} PRIVATE
    "$<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-restrict;-Wno-stringop-overflow>")
endfunction()
