# The executor that runs CUDA kernels on the CPU in tests (tests/simt): its dependencies, and the functions
# that compile kernels for it. Sets PLASTICITY_SIMT: whether the CUDA headers are there. No nvcc and no GPU is needed.

find_path(PLASTICITY_CUDA_INCLUDE_DIR cuda_runtime.h
  HINTS ${CUDAToolkit_INCLUDE_DIRS} ENV CUDA_HOME ENV CUDA_PATH
  PATHS /usr/local/cuda
  PATH_SUFFIXES include targets/x86_64-linux/include
  DOC "The CUDA toolkit's headers")
mark_as_advanced(PLASTICITY_CUDA_INCLUDE_DIR)
set(PLASTICITY_SIMT OFF)
if(PLASTICITY_CUDA_INCLUDE_DIR AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(PLASTICITY_SIMT ON)
endif()

# The sanitizer of the whole build (presets asan and tsan): none, address or thread.
set(PLASTICITY_SANITIZER none)
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=[a-z,]*(address|thread)")
  set(PLASTICITY_SANITIZER ${CMAKE_MATCH_1})
endif()

# plasticity_simt_library(NAME SOURCES a.cu b.cpp ... [FLAGS ...] [INCLUDES ...] [LIBRARIES ...])
#
# A static library of kernels (and host code over them) compiled by g++ for the executor. A program that links it
# gets the executor, the fake CUDA runtime and cuBLAS with it; it must not link libcudart as well. INCLUDES come before
# include/, host/, kernels/, tests/.
function(plasticity_simt_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;FLAGS;INCLUDES;LIBRARIES" ${ARGN})
  add_library(${name} STATIC EXCLUDE_FROM_ALL ${arg_SOURCES})
  # In this directory only, so that elsewhere nvcc may compile the same file.
  set_source_files_properties(${arg_SOURCES} PROPERTIES LANGUAGE CXX)
  target_include_directories(${name}
    PUBLIC ${arg_INCLUDES} ${PROJECT_SOURCE_DIR}/tests/simt/shadow ${PROJECT_SOURCE_DIR}/kernels
    PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/host)
  target_link_libraries(${name} PUBLIC simt ${arg_LIBRARIES})
  plasticity_warnings(${name})
  # nvcc assumes no strict aliasing, and accepts pragmas that g++ does not. Under a sanitizer -O1 compiles in half the
  # time; -g1 is enough for the lines in its reports.
  set(optimization -O2)
  if(NOT PLASTICITY_SANITIZER STREQUAL "none")
    set(optimization -O1)
  endif()
  target_compile_options(${name} PRIVATE
    ${optimization} -g1 -UNDEBUG -fno-strict-aliasing -ffp-contract=off -Wno-unknown-pragmas ${arg_FLAGS})
endfunction()

# plasticity_simt_test(NAME SOURCES a_test.cpp ... [LIBRARIES ...] [LABELS ...] [TOGETHER suites]
#                      [PROPERTIES ctest-property value ...])
#
# As plasticity_test(), with three differences: it links no library target of its own accord (the real CUDA part
# would clash with the fake runtime), its cases are called NAME.Suite.Case, since cuda_test has the same sources, and
# ThreadSanitizer programs run without address space randomisation if the system permits it. Labelled simt.
function(plasticity_simt_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES;LABELS;PROPERTIES;TOGETHER" ${ARGN})
  if(PLASTICITY_SANITIZER STREQUAL "thread" AND PLASTICITY_SETARCH_WORKS)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${PLASTICITY_SETARCH} -R)  # gtest_discover_tests looks there for a wrapper
  endif()
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/host)
  target_compile_options(${name} PRIVATE -O1 -g1)
  plasticity_reuse_headers(${name} simt_test_headers)
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} simt GTest::gtest_main)
  plasticity_warnings(${name})
  plasticity_discover_tests(${name} "${arg_TOGETHER}" ${name}.
    PROPERTIES LABELS "simt;${arg_LABELS}" ${arg_PROPERTIES})
endfunction()

# Current kernels randomise addresses more than older ThreadSanitizers can bear ("unexpected memory mapping").
# setarch -R turns that off; in some containers it is forbidden, and vm.mmap_rnd_bits has to be 28 or less.
find_program(PLASTICITY_SETARCH setarch)
mark_as_advanced(PLASTICITY_SETARCH)
set(PLASTICITY_SETARCH_WORKS OFF)
if(PLASTICITY_SETARCH)
  execute_process(COMMAND ${PLASTICITY_SETARCH} -R true
    RESULT_VARIABLE _setarch_result OUTPUT_QUIET ERROR_QUIET)
  if(_setarch_result EQUAL 0)
    set(PLASTICITY_SETARCH_WORKS ON)
  endif()
endif()
