// The beginning of a kernel: the indices of its thread, its shared memory, its arguments.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "simt/executor/calls.hpp"

inline constexpr int warpSize = 32;

// SIMT_SHARED(float, part, [32]) is `__shared__ float part[32]`. The local type tells one variable from
// another.
#define SIMT_SHARED(Type, name, ...) \
  struct simt_tag_##name {};         \
  auto& name = ::simt::device::static_variable<simt_tag_##name, Type __VA_ARGS__>()
#define SIMT_DYNAMIC_SHARED(Type, name) \
  Type* const name = static_cast<Type*>(::simt::device::dynamic_shared())

namespace simt {
namespace device {

template <class Tag>
inline char variable_key = 0;

template <class Tag, class T>
T& static_variable() {
  return *static_cast<T*>(static_shared(&variable_key<Tag>, sizeof(T), alignof(T)));
}

}  // namespace device

/// How the runtime, which is handed untyped arguments, copies them at the launch and calls the kernel with
/// them.
struct KernelSignature {
  std::shared_ptr<void> (*copy)(void** arguments);
  void (*invoke)(const void* function, const void* arguments);
  const char* parameters = "";  // the names of their types, as the compiler mangles them
};
void register_kernel(const void* function, const KernelSignature& signature);

template <class... Parameters>
struct KernelCall {
  using Pack = std::tuple<std::remove_cv_t<Parameters>...>;

  static std::shared_ptr<void> copy(void** arguments) {
    return copy(arguments, std::index_sequence_for<Parameters...>{});
  }

  static void invoke(const void* function, const void* arguments) {
    Pack mine = *static_cast<const Pack*>(arguments);  // every thread owns its parameters, as on the GPU
    std::apply(reinterpret_cast<void (*)(Parameters...)>(const_cast<void*>(function)), mine);
  }

 private:
  template <std::size_t... I>
  static std::shared_ptr<void> copy([[maybe_unused]] void** arguments, std::index_sequence<I...>) {
    return std::make_shared<Pack>(*static_cast<std::remove_cv_t<Parameters>*>(arguments[I])...);
  }
};

template <class... Parameters>
void register_kernel(void (*kernel)(Parameters...)) {
  using Call = KernelCall<Parameters...>;
  register_kernel(reinterpret_cast<const void*>(kernel),
                  {Call::copy, Call::invoke, typeid(typename Call::Pack).name()});
}

}  // namespace simt
