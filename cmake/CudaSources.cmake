# The sources of the CUDA part, which nvcc compiles for devices and g++ for the tests' executor.

# plasticity_kernel_sources(VARIABLE): the kernels. Kernels that depend on the rule have one file per rule (and one line
# in this list).
function(plasticity_kernel_sources variable)
  set(kernels ${PROJECT_SOURCE_DIR}/kernels)
  set(sources
    ${kernels}/product/product.cu ${kernels}/reduce/reduce.cu ${kernels}/replay/groups.cu ${kernels}/step/vectors.cu
    ${kernels}/training/optimizer.cu ${kernels}/training/squared_error.cu)
  foreach(form IN ITEMS read_clipped clipped soft)
    list(APPEND sources
      ${kernels}/resident/instances/forward_${form}.cu ${kernels}/resident/instances/backward_${form}.cu)
  endforeach()
  foreach(rule IN ITEMS decay oja hard_clip soft_clip additive read_clip)
    list(APPEND sources
      ${kernels}/step/instances/forward_${rule}.cu ${kernels}/step/instances/backward_${rule}.cu
      ${kernels}/replay/instances/replay_${rule}.cu)
  endforeach()
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()

# plasticity_cuda_host_sources(VARIABLE): the host side, plain C++ over the CUDA runtime's headers.
function(plasticity_cuda_host_sources variable)
  set(sources backward.cpp blas.cpp cuda_plan.cpp forward.cpp gradients.cpp graph.cpp planner.cpp resident.cpp
    rule_kernels.cpp runtime.cpp step_state.cpp training.cpp)
  list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/host/cuda/)
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()
