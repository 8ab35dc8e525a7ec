# plasticity_warnings(TARGET): the project's warning level, as errors where PLASTICITY_WERROR is on.
function(plasticity_warnings target)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${PLASTICITY_WERROR}>>:-Werror>)
endfunction()
