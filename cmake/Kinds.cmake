# plasticity_kinds(TARGET NAME [SYMBOL name]): the static and the shared kind of a library, compiled once.
#
# BUILD_SHARED_LIBS sets the kind of the library TARGET. This function adds TARGET_static and TARGET_shared. One is an
# alias of TARGET, the other links the same objects. Tests and the tool use internal symbols, so they link TARGET_static;
# the shared library exports only public symbols. The second kind is built by default if PLASTICITY_BOTH_KINDS is
# ON, otherwise only if a target links it. Both are plasticity::NAME in an installed package.
#
# SYMBOL is for a library that registers itself, so that no program refers to its symbols. With the static library the
# linker then includes the object that defines SYMBOL. With the shared library it keeps the library in spite of
# --as-needed.
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

  # Object libraries that were added to the target are among its sources.
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

  # Links the libraries of TARGET, with the project's own in the same kind. (::@ marks the directory of a library.)
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
  # Before 1.0.0 every minor version may change the interface.
  set_target_properties(${shared} PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  plasticity_install_kinds(${name} ${static} ${shared})
endfunction()
