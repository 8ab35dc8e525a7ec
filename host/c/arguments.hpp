#pragma once

#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "c/status.hpp"
#include "model/for_each_tensor.hpp"
#include "plasticity/arguments.hpp"
#include "plasticity/device.hpp"

namespace plasticity::c {

/// Returns the DLPack element type of T.
template <class T>
constexpr plasticity_dtype dtype_of() {
  if constexpr (std::is_floating_point_v<T>) return {PLASTICITY_FLOAT, 8 * sizeof(T), 1};
  if constexpr (std::is_unsigned_v<T>) return {PLASTICITY_UINT, 8 * sizeof(T), 1};
  return {PLASTICITY_INT, 8 * sizeof(T), 1};
}

/// Format a type ("float32") or a shape ("[2,3]") for messages.
std::string to_string(plasticity_dtype dtype);
std::string to_string(const std::int64_t* shape, std::int32_t ndim);

/// The largest number of axes of a tensor of a file or of another library. A larger number is an
/// uninitialised field, and the shape would be read past its end.
inline constexpr std::int32_t max_file_axes = 64;

/// Throws Error(invalid_argument) if the list named `list` has more than 2^20 entries. A larger number is an
/// uninitialised or negative one, and the list would be read past its end.
void check_count(const char* list, std::size_t count);

/// The name of an argument: "GROUP.FIELD", or "FIELD" without a group. It views the caller's texts, because a
/// call compares forty names: to build them would take longer than a step of a small network.
struct Name {
  std::string_view group, field;

  Name(std::string_view whole) : field(whole) {}  // NOLINT: implicit
  Name(const char* whole) : field(whole) {}
  Name(const std::string& whole) : field(whole) {}
  Name(std::string_view group_name, std::string_view field_name) : group(group_name), field(field_name) {}

  /// Whether this is the name `whole`.
  bool operator==(std::string_view whole) const;
};
std::ostream& operator<<(std::ostream& out, const Name& name);

/// Throws Error(invalid_argument) unless the tensor is dense and row-major, with at most `max_axes` axes. The
/// message names the tensor.
void check_dense(Name name, const plasticity_tensor& tensor, std::int32_t max_axes);

/// Throws Error(invalid_argument) unless the tensor is in memory that the host can access: its own, pinned or
/// managed memory.
void check_on_host(Name name, const plasticity_tensor& tensor);

/// Throws Error(invalid_argument) unless the address of the first element is a multiple of the element size.
/// A GPU cannot be used any more after a kernel has read an unaligned element.
void check_aligned(Name name, const plasticity_tensor& tensor);

/// Returns the address of the first element.
void* data_of(const plasticity_tensor& tensor);

/// The number of elements of a dense tensor.
std::size_t elements_of(const plasticity_tensor& tensor);

/// Throws Error(invalid_argument) unless the tensor's type is `expected`. A bool may be used as uint8.
void check_dtype(Name name, const plasticity_tensor& tensor, plasticity_dtype expected);

/// Returns the elements of a tensor. Throws Error(invalid_argument) unless it is dense, of type T, aligned
/// and in memory that the host can access.
template <class T>
std::span<T> host_span(Name name, const plasticity_tensor& tensor) {
  check_dtype(name, tensor, dtype_of<std::remove_const_t<T>>());
  check_dense(name, tensor, max_file_axes);
  check_on_host(name, tensor);
  check_aligned(name, tensor);
  return {static_cast<T*>(data_of(tensor)), elements_of(tensor)};
}

/// Returns a dense view of host memory. The view points to `shape`, which must outlive it.
plasticity_tensor host_view(void* data, plasticity_dtype dtype, const std::vector<std::int64_t>& shape);

/// The tensor arguments of a call. The call takes each of its tensors by name, then check_all_used()
/// rejects the others.
class Arguments {
 public:
  /// The tensors must be on `device`. Throws Error(invalid_argument) for a name that is null or occurs twice.
  Arguments(const plasticity_argument* list, std::size_t count, Device device);

  /// Accepts tensors without their leading axis of size 1, for a single step.
  void allow_missing_leading_one() { leading_one_optional_ = true; }

  /// Returns the data of the tensor, or null if it is absent. Throws Error(invalid_argument) for a wrong
  /// type, shape, stride or device. The message names the tensor.
  template <class T>
  T* take(Name name, const Shape& shape) {
    return static_cast<T*>(take(name, shape, dtype_of<std::remove_const_t<T>>()));
  }

  /// Takes all tensors of Parameters, Inputs or State, under the names "GROUP.NAME". Throws
  /// Error(invalid_argument) for a tensor that the spec does not have.
  template <class Group>
  void take_group(const Spec& spec, std::int64_t T, std::int64_t B, std::string_view group, Group& tensors) {
    for_each_tensor(
        spec, T, B, tensors,
        [&]<class Element>(std::string_view field, Element*& pointer, const std::optional<Shape>& shape) {
          const Name name(group, field);
          if (shape) {
            pointer = take<Element>(name, *shape);
          } else if (has(name)) {
            bad_argument(str_cat(name), "no tensor, because the spec does not have it", "a tensor");
          }
        });
  }

  /// Throws Error(invalid_argument) if a tensor was not taken.
  void check_all_used() const;

 private:
  struct Entry {
    std::string_view name;  // the caller's
    const plasticity_tensor* tensor;
    bool taken = false;
  };
  std::vector<Entry>::iterator find(Name name);
  bool has(Name name);  // and not null
  void* take(Name name, const Shape& shape, plasticity_dtype dtype);
  void check_device(Name name, const plasticity_tensor& tensor) const;

  std::vector<Entry> entries_;
  std::vector<Name> known_;  // those of the call
  Device device_;
  bool leading_one_optional_ = false;
};

}  // namespace plasticity::c
