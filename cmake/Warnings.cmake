# The project's warnings. After Cuda.cmake, which finds nvcc.
#
# PLASTICITY_WERROR AUTO: they are errors with the compilers that CI has. With another compiler a new warning must not stop
# the build of a user. With sanitizers g++ has false warnings in the standard library.
set(PLASTICITY_WARNINGS_ARE_ERRORS ${PLASTICITY_WERROR})
if(PLASTICITY_WERROR STREQUAL "AUTO")
  set(PLASTICITY_WARNINGS_ARE_ERRORS OFF)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION MATCHES "^12\\."
      AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize"
      AND (NOT PLASTICITY_HAVE_CUDA OR CMAKE_CUDA_COMPILER_VERSION MATCHES "^13\\.0"))
    set(PLASTICITY_WARNINGS_ARE_ERRORS ON)
  endif()
endif()

# plasticity_warnings(TARGET): sets the warnings of its sources.
function(plasticity_warnings target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow>
    $<$<AND:$<COMPILE_LANGUAGE:C,CXX>,$<BOOL:${PLASTICITY_WARNINGS_ARE_ERRORS}>>:-Werror>
    $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${PLASTICITY_WARNINGS_ARE_ERRORS}>>:-Werror=all-warnings>)
endfunction()
