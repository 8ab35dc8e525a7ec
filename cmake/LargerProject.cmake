# Settings of a larger project that plasticity, a folder of it, cannot have.

# Sources share names of local functions, and some instantiate the same templates.
set(CMAKE_UNITY_BUILD OFF)

# With -ffast-math a NaN would pass every check, and gradients would be wrong. This option comes after the larger project's.
add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang,AppleClang>:-fno-fast-math>)

# plasticity_exact_cuda(): the same for nvcc, which cannot take back --use_fast_math.
macro(plasticity_exact_cuda)
  string(REGEX REPLACE "-+use_fast_math" "" CMAKE_CUDA_FLAGS "${CMAKE_CUDA_FLAGS}")
  get_directory_property(options COMPILE_OPTIONS)
  string(REGEX REPLACE "-+use_fast_math" "" options "${options}")
  set_directory_properties(PROPERTIES COMPILE_OPTIONS "${options}")
endmacro()
