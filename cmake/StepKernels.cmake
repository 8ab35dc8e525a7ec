# plasticity_kernel_sources(VARIABLE): the sources of the CUDA part that hold kernels. The step kernels are instantiated
# rule by rule, each rule of AllRules (kernels/rules/rules.hpp) in files of its own, made from the templates
# kernels/<op>/<name>.cu.in.
set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY
  CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/rules/rules.hpp)
file(READ ${PROJECT_SOURCE_DIR}/kernels/rules/rules.hpp PLASTICITY_RULES)
string(REGEX MATCH "AllRules =[^;]*;" PLASTICITY_RULES "${PLASTICITY_RULES}")
string(REGEX MATCHALL "Rule::[a-z_0-9]+" PLASTICITY_RULES "${PLASTICITY_RULES}")
list(TRANSFORM PLASTICITY_RULES REPLACE "Rule::" "")
if(NOT PLASTICITY_RULES)
  message(FATAL_ERROR "kernels/rules/rules.hpp: expected a list AllRules = RuleList<Rule::..., ...>;")
endif()

function(plasticity_kernel_sources variable)
  set(kernels ${PROJECT_SOURCE_DIR}/kernels)
  set(sources
    ${kernels}/product/product.cu ${kernels}/reduce/reduce.cu ${kernels}/replay/groups.cu ${kernels}/step/vectors.cu
    ${kernels}/training/optimizer.cu ${kernels}/training/squared_error.cu)
  foreach(rule IN LISTS PLASTICITY_RULES)
    foreach(template step/forward step/backward replay/replay resident/resident)
      get_filename_component(name ${template} NAME)
      set(source ${PROJECT_BINARY_DIR}/kernels/${name}_${rule}.cu)
      configure_file(${kernels}/${template}.cu.in ${source} @ONLY)
      list(APPEND sources ${source})
    endforeach()
  endforeach()
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()

# The host's side of the CUDA part, plain C++ over the CUDA runtime's headers.
function(plasticity_cuda_host_sources variable)
  set(sources backward.cpp blas.cpp cuda_plan.cpp forward.cpp gradients.cpp graph.cpp step_state.cpp planner.cpp resident.cpp runtime.cpp
    training.cpp)
  list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/host/cuda/)
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()
