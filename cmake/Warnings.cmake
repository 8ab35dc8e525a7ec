# plasticity_warnings(TARGET): sets the project's warnings, as errors if PLASTICITY_WERROR is ON.
function(plasticity_warnings target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${PLASTICITY_WERROR}>>:-Werror>)
endfunction()
