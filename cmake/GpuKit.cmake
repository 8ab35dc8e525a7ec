# plasticity_gpu_kit(): the programs that bench/gpu/assemble.py puts into the GPU kit, in gpu-kit/ of the build folder.
#
# The programs (the tests of the CUDA part, the tool, the benchmarks' operations) share one library,
# libplasticity_kit.so: the core, the CUDA part and the CUDA runtime. They reach into it as tests do, but its objects are
# compiled with hidden visibility, as users get them. To compile the kernels once more takes minutes, so the library is
# linked from the same objects, with the symbols of the merged object made visible (bench/gpu/unhide.py). A program with
# the static libraries in it would be as large as the library, and three of them as large as the kit may be.
#
# The CUDA runtime is in the shared library, once, so that library and tests have the same runtime. png and zlib are static
# libraries in every program, from which the shared library takes them: distributions compile them for programs, not for
# shared libraries. cuBLAS stays outside (it is ten times as large as the kit): bench/gpu/run finds it.
function(plasticity_static_library variable)
  set(${variable} PARENT_SCOPE)
  foreach(name IN LISTS ARGN)
    if(TARGET ${name})  # fetched, and so static
      set(${variable} $<TARGET_FILE:${name}> PARENT_SCOPE)
      return()
    endif()
    find_library(PLASTICITY_STATIC_${name} NAMES lib${name}.a)
    mark_as_advanced(PLASTICITY_STATIC_${name})
    if(PLASTICITY_STATIC_${name})
      set(${variable} ${PLASTICITY_STATIC_${name}} PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# plasticity_kit_program(NAME OBJECTS-OF-TARGETS... [WITHOUT regex] [ARCHIVES ...] [LIBRARIES ...]): bin/NAME of the kit, from
# the objects of other programs, except those that match the expression.
function(plasticity_kit_program name)
  cmake_parse_arguments(arg "" "WITHOUT" "ARCHIVES;LIBRARIES" ${ARGN})
  set(objects)
  foreach(target IN LISTS arg_UNPARSED_ARGUMENTS)
    if(arg_WITHOUT)
      list(APPEND objects "$<FILTER:$<TARGET_OBJECTS:${target}>,EXCLUDE,${arg_WITHOUT}>")
    else()
      list(APPEND objects $<TARGET_OBJECTS:${target}>)
    endif()
  endforeach()
  add_executable(kit_${name} ${objects})
  set_target_properties(kit_${name} PROPERTIES OUTPUT_NAME ${name} LINKER_LANGUAGE CXX
    BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH $ORIGIN/../lib
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/gpu-kit/bin)
  # Archives by file name: as targets they would bring the static library along.
  foreach(archive IN LISTS arg_ARCHIVES)
    target_link_libraries(kit_${name} PRIVATE $<TARGET_FILE:${archive}>)
    add_dependencies(kit_${name} ${archive})
  endforeach()
  target_link_libraries(kit_${name} PRIVATE ${arg_LIBRARIES} plasticity_kit ${png} ${zlib} Threads::Threads)
  # A program finds the library beside itself; the library's own cuBLAS is looked for when it runs.
  target_link_options(kit_${name} PRIVATE LINKER:--allow-shlib-undefined LINKER:--gc-sections)
  add_dependencies(gpu_kit kit_${name})
endfunction()

function(plasticity_gpu_kit)
  find_package(Python3 COMPONENTS Interpreter QUIET)
  plasticity_static_library(png png_static png16 png)
  plasticity_static_library(zlib zlibstatic z)
  if(NOT (Python3_FOUND AND PLASTICITY_TESTS AND PLASTICITY_TOOL AND png AND zlib AND CMAKE_CUDA_COMPILER_ID STREQUAL "NVIDIA"))
    message(STATUS "The GPU kit is not built: it needs Python, the tests, the tool, and libpng and zlib as static libraries")
    return()
  endif()

  set(merged ${PROJECT_BINARY_DIR}/gpu-kit/plasticity_kit.o)
  set(objects "$<TARGET_OBJECTS:plasticity>;$<TARGET_OBJECTS:plasticity_cuda>")
  # Object libraries that were added to the core count as its sources.
  get_target_property(added plasticity SOURCES)
  list(FILTER added INCLUDE REGEX "TARGET_OBJECTS")
  list(APPEND objects ${added})
  file(GENERATE OUTPUT ${merged}.list CONTENT "$<JOIN:${objects},\n>\n")
  add_custom_command(OUTPUT ${merged}
    COMMAND ${CMAKE_LINKER} -r -o ${merged} @${merged}.list
      --whole-archive $<TARGET_FILE:CUDA::cudart_static> --no-whole-archive
    COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/bench/gpu/unhide.py ${merged} plasticity ^cuda ^__cuda
    DEPENDS ${objects} ${PROJECT_SOURCE_DIR}/bench/gpu/unhide.py
    COMMENT "Merging the objects of the GPU kit's library" VERBATIM)
  add_library(plasticity_kit SHARED ${merged})
  set_source_files_properties(${merged} PROPERTIES GENERATED ON EXTERNAL_OBJECT ON)
  set_target_properties(plasticity_kit PROPERTIES LINKER_LANGUAGE CXX SKIP_BUILD_RPATH ON
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/gpu-kit/lib)
  # -Bsymbolic: the objects were compiled for symbols that nothing replaces.
  target_link_options(plasticity_kit PRIVATE LINKER:-Bsymbolic LINKER:--exclude-libs,ALL LINKER:--gc-sections)
  target_link_libraries(plasticity_kit PRIVATE CUDA::cublas Threads::Threads dl rt)

  add_custom_target(gpu_kit ALL DEPENDS plasticity_kit device_ceilings)
  plasticity_kit_program(cuda_test cuda_test ARCHIVES plasticity_problems plasticity_parity LIBRARIES GTest::gtest_main)
  # The kit's tool draws nothing, so that it does not need Cairo.
  set(cli ${PROJECT_SOURCE_DIR}/host/tool/cli)
  add_library(kit_tool OBJECT ${cli}/train.cpp)
  target_include_directories(kit_tool PRIVATE ${PROJECT_SOURCE_DIR}/host)
  target_compile_definitions(kit_tool PRIVATE PLASTICITY_HAVE_CAIRO=0)
  target_link_libraries(kit_tool PRIVATE plasticity CLI11::CLI11 nlohmann_json::nlohmann_json)
  plasticity_warnings(kit_tool)
  plasticity_kit_program(plasticity plasticity_tool plasticity_cli kit_tool WITHOUT "plasticity_cli.*/(report|train)\\.cpp"
    ARCHIVES plasticity_parity)
  add_library(gpu_operations OBJECT ${PROJECT_SOURCE_DIR}/bench/gpu/operations.cpp)
  target_link_libraries(gpu_operations PRIVATE plasticity nlohmann_json::nlohmann_json)
  plasticity_warnings(gpu_operations)
  plasticity_kit_program(gpu_operations gpu_operations bench_operations bench_cublas LIBRARIES CUDA::cublas)
endfunction()
