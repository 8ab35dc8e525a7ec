# A C++17 program that includes a header gets one sentence as its first error. Arguments: COMPILER, INCLUDE, FOLDER.
file(WRITE ${FOLDER}/old_standard.cpp "#include \"plasticity/plasticity.hpp\"\nint main() {}\n")
execute_process(COMMAND ${COMPILER} -std=c++17 -fsyntax-only -I${INCLUDE} ${FOLDER}/old_standard.cpp
  ERROR_VARIABLE errors RESULT_VARIABLE result)
if(result EQUAL 0)
  message(FATAL_ERROR "the headers compile as C++17")
endif()
string(REGEX MATCH "error: [^\n]*" first "${errors}")
if(NOT first MATCHES "plasticity needs C\\+\\+20: compile with -std=c\\+\\+20")
  message(FATAL_ERROR "the first error is: ${first}")
endif()
