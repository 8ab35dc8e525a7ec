# plasticity_kernel_sources(VARIABLE): the sources of the CUDA part that hold kernels. The step kernels are instantiated
# rule by rule, each rule in files of its own, made from the templates kernels/<op>/<name>.cu.in: a new rule needs its
# header in kernels/rules/, its place in AllRules, and its name here.
set(PLASTICITY_RULES decay oja hard_clip soft_clip additive read_clip)

function(plasticity_kernel_sources variable)
  set(kernels ${PROJECT_SOURCE_DIR}/kernels)
  set(sources
    ${kernels}/product/product.cu ${kernels}/reduce/reduce.cu ${kernels}/replay/groups.cu ${kernels}/step/vectors.cu)
  foreach(rule IN LISTS PLASTICITY_RULES)
    foreach(template step/forward step/backward replay/replay)
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
  set(sources backward.cpp blas.cpp cuda_plan.cpp forward.cpp gradients.cpp live.cpp runtime.cpp)
  list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/host/cuda/)
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()
