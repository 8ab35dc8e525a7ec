# The sources of the CUDA part, which nvcc compiles for devices and g++ for the tests' executor.

# plasticity_kernel_sources(VARIABLE): the kernels. Kernels of the one update have one file per form.
function(plasticity_kernel_sources variable)
  set(kernels ${PROJECT_SOURCE_DIR}/kernels)
  set(sources
    ${kernels}/nonplastic/nonplastic.cu ${kernels}/product/product.cu ${kernels}/reduce/reduce.cu ${kernels}/replay/groups.cu
    ${kernels}/step/vectors.cu ${kernels}/training/cross_entropy.cu ${kernels}/training/optimizer.cu
    ${kernels}/training/squared_error.cu)
  foreach(form IN ITEMS linear read_clipped clipped soft)
    list(APPEND sources
      ${kernels}/step/instances/forward_${form}.cu ${kernels}/step/instances/backward_${form}.cu
      ${kernels}/replay/instances/replay_${form}.cu)
  endforeach()
  foreach(form IN ITEMS read_clipped clipped soft)
    list(APPEND sources
      ${kernels}/resident/instances/forward_${form}.cu ${kernels}/resident/instances/backward_${form}.cu)
  endforeach()
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()

# plasticity_cuda_host_sources(VARIABLE): the host side, plain C++ over the CUDA runtime's headers.
function(plasticity_cuda_host_sources variable)
  set(sources alternatives.cpp backward.cpp blas.cpp cost_model.cpp cuda_plan.cpp device_constants.cpp device_limits.cpp estimates.cpp fit.cpp forward.cpp
    current_device.cpp gradients.cpp graph.cpp group_shapes.cpp linear.cpp nccl.cpp observations.cpp planner.cpp resident.cpp rule_kernels.cpp
    runtime.cpp step_state.cpp training.cpp tune.cpp)
  list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/host/cuda/)
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()
