// Atomics: relaxed and of device scope, as CUDA's. Each is a point where another thread may get its turn.
#pragma once

#include <type_traits>

#include "simt/executor/calls.hpp"

namespace simt::device {

template <class T, class Update>
T read_modify_write(T* p, Update update) {
  scheduling_point();
  T before, after;
  __atomic_load(p, &before, __ATOMIC_RELAXED);
  do {
    after = update(before);
  } while (!__atomic_compare_exchange(p, &before, &after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return before;
}

}  // namespace simt::device

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return simt::device::read_modify_write(p, [v](T old) { return T(old + v); });
}
template <class T>
T atomicSub(T* p, std::type_identity_t<T> v) {
  return simt::device::read_modify_write(p, [v](T old) { return T(old - v); });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  return simt::device::read_modify_write(p, [v](T old) { return old < v ? v : old; });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  return simt::device::read_modify_write(p, [v](T old) { return v < old ? v : old; });
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  return simt::device::read_modify_write(p, [v](T) { return v; });
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> v) {
  return simt::device::read_modify_write(p, [v](T old) { return T(old & v); });
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> v) {
  return simt::device::read_modify_write(p, [v](T old) { return T(old | v); });
}
template <class T>
T atomicXor(T* p, std::type_identity_t<T> v) {
  return simt::device::read_modify_write(p, [v](T old) { return T(old ^ v); });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return simt::device::read_modify_write(p, [=](T old) { return old == expected ? v : old; });
}
