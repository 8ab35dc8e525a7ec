# Rules of `cmake --install`: libraries, public headers, the CMake package and the pkg-config files. Components:
# plasticity (the core and the CPU backend), cuda, mpi, tool.
#
# The package has one export set per library and kind, plasticity-LIBRARY-KIND.cmake. Its config includes the installed
# ones that match the request.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(PLASTICITY_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/plasticity)

# A static library depends on other libraries, and CMake does not install the ones that it downloaded.
if(PLASTICITY_INSTALL AND PLASTICITY_FETCHED AND NOT (BUILD_SHARED_LIBS AND NOT PLASTICITY_BOTH_KINDS))
  list(JOIN PLASTICITY_FETCHED ", " _fetched)
  message(STATUS "Nothing will be installed, since CMake downloaded ${_fetched}: install them, or set "
    "-DBUILD_SHARED_LIBS=ON -DPLASTICITY_BOTH_KINDS=OFF")
  set(PLASTICITY_INSTALL OFF)
endif()

# plasticity_install_kinds(NAME STATIC SHARED): installs the targets of plasticity::NAME.
function(plasticity_install_kinds name static shared)
  if(NOT PLASTICITY_INSTALL)
    return()
  endif()
  set(kinds static)
  if(PLASTICITY_BOTH_KINDS)
    set(kinds static shared)
  elseif(BUILD_SHARED_LIBS)
    set(kinds shared)
  endif()
  foreach(kind IN LISTS kinds)
    install(TARGETS ${${kind}} EXPORT plasticity-${name}-${kind}
      ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${name}
      LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${name} NAMELINK_COMPONENT ${name}
      INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
    install(EXPORT plasticity-${name}-${kind} NAMESPACE plasticity::
      DESTINATION ${PLASTICITY_PACKAGE_DIR} COMPONENT ${name})
  endforeach()
  set(static_only ON)
  if("shared" IN_LIST kinds)
    set(static_only OFF)
  endif()
  plasticity_install_pkg_config(${name} ${static_only})
endfunction()

# plasticity_install_pkg_config(NAME STATIC_ONLY): installs plasticity.pc, plasticity-cuda.pc or plasticity-mpi.pc. The file computes the
# prefix from its own folder. Without a shared library, its plain flags are those of the static one.
function(plasticity_install_pkg_config name static_only)
  file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(file plasticity)
  set(libraries "-L\${libdir} -lplasticity")
  if(NOT name STREQUAL "plasticity")
    set(file plasticity-${name})
    set(libraries "-L\${libdir} -Wl,-u,plasticity_${name}_registration")
    string(APPEND libraries " -Wl,--push-state,--no-as-needed -lplasticity_${name} -Wl,--pop-state")
  endif()
  if(name STREQUAL "cuda")
    list(GET CUDAToolkit_LIBRARY_DIR 0 cuda_libraries)
  elseif(name STREQUAL "mpi")
    list(JOIN MPI_CXX_LIBRARIES " " mpi_libraries)
  endif()
  set(private .private)
  set(lines "Libs: ${libraries}\nLibs.private: \${private_libraries}")
  if(static_only)
    set(private)
    set(lines "Libs: ${libraries} \${private_libraries}")
  endif()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${file}.pc.in ${PROJECT_BINARY_DIR}/package/${file}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/package/${file}.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT ${name})
endfunction()

if(PLASTICITY_INSTALL)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/plasticity DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    COMPONENT plasticity FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/CHANGELOG.md ${PROJECT_SOURCE_DIR}/CITATION.cff
    DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT plasticity)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/plasticity-config.cmake.in
    ${PROJECT_BINARY_DIR}/package/plasticity-config.cmake INSTALL_DESTINATION ${PLASTICITY_PACKAGE_DIR})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/plasticity-config-version.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES
    ${PROJECT_BINARY_DIR}/package/plasticity-config.cmake
    ${PROJECT_BINARY_DIR}/package/plasticity-config-version.cmake
    DESTINATION ${PLASTICITY_PACKAGE_DIR} COMPONENT plasticity)
endif()
