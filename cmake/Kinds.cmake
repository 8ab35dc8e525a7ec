# plasticity_kinds(TARGET NAME [SYMBOL name]): both kinds of a library, compiled once.
#
# TARGET is a library of the kind that BUILD_SHARED_LIBS says. This makes TARGET_static and TARGET_shared: one is TARGET
# itself, the other is made of the same objects. What reaches into the library (tests, the tool) links TARGET_static,
# since a shared library hides what is not public. The second one belongs to the build where PLASTICITY_BOTH_KINDS is
# on, and otherwise is made where something links it. Both are plasticity::NAME in an installed package.
#
# SYMBOL is for a library that registers itself and that nothing refers to: who links it takes it all the same. The symbol
# brings its object out of the static library; the shared one is named once more where the linker may not leave it out.
function(plasticity_kinds target name)
  cmake_parse_arguments(arg "" "SYMBOL" "" ${ARGN})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "SHARED_LIBRARY")
    set(shared ${target})
    set(static ${target}_static)
    set(other ${static})
    add_library(${target}_shared ALIAS ${target})
  else()
    set(shared ${target}_shared)
    set(static ${target})
    set(other ${shared})
    add_library(${target}_static ALIAS ${target})
  endif()

  # Object libraries that were added to the target count as its sources.
  get_target_property(objects ${target} SOURCES)
  list(FILTER objects INCLUDE REGEX "TARGET_OBJECTS")
  string(REGEX REPLACE "^.*_" "" kind ${other})
  string(TOUPPER ${kind} library)
  add_library(${other} ${library} $<TARGET_OBJECTS:${target}> ${objects})
  set_target_properties(${other} PROPERTIES LINKER_LANGUAGE CXX)
  if(NOT PLASTICITY_BOTH_KINDS)
    set_target_properties(${other} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  foreach(property INTERFACE_COMPILE_FEATURES INTERFACE_INCLUDE_DIRECTORIES)
    get_target_property(value ${target} ${property})
    if(value)
      set_target_properties(${other} PROPERTIES ${property} "${value}")
    endif()
  endforeach()

  # The same libraries; of the project's own ones the same kind. (::@ marks the directory that a library was named in.)
  get_target_property(public ${target} INTERFACE_LINK_LIBRARIES)
  get_target_property(private ${target} LINK_LIBRARIES)
  list(FILTER public EXCLUDE REGEX "^::@|LINK_ONLY|NOTFOUND$")
  list(FILTER private EXCLUDE REGEX "^::@")
  list(REMOVE_ITEM private ${public})
  list(TRANSFORM public REPLACE "^plasticity$" "plasticity_${kind}")
  target_link_libraries(${other} PUBLIC ${public} PRIVATE ${private})

  if(arg_SYMBOL)
    target_link_options(${static} INTERFACE LINKER:-u,${arg_SYMBOL})
    target_link_libraries(${shared} INTERFACE
      -Wl,--push-state,--no-as-needed,$<TARGET_FILE:$<TARGET_NAME:${shared}>>,--pop-state)
  endif()

  set_target_properties(${static} ${shared} PROPERTIES OUTPUT_NAME ${target} EXPORT_NAME ${name})
  # Before 1.0.0 every minor version is an interface of its own.
  set_target_properties(${shared} PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  plasticity_install_kinds(${name} ${static} ${shared})
endfunction()
