#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "c/status.hpp"
#include "plasticity/arguments.hpp"
#include "plasticity/device.hpp"

namespace plasticity::c {

/// The type of elements as DLPack has it.
template <class T>
constexpr plasticity_dtype dtype_of() {
  if constexpr (std::is_floating_point_v<T>) return {PLASTICITY_FLOAT, 8 * sizeof(T), 1};
  if constexpr (std::is_unsigned_v<T>) return {PLASTICITY_UINT, 8 * sizeof(T), 1};
  return {PLASTICITY_INT, 8 * sizeof(T), 1};
}

/// "float32", "[2,3]": how messages say it.
std::string to_string(plasticity_dtype dtype);
std::string to_string(const std::int64_t* shape, std::int32_t ndim);

/// Throws Error(invalid_argument), in the name of the tensor, unless it is dense and row-major.
void check_dense(const std::string& name, const plasticity_tensor& tensor);

/// Where its first element is.
void* data_of(const plasticity_tensor& tensor);

/// A dense view of the host's memory. `shape` must live as long as the view.
plasticity_tensor host_view(void* data, plasticity_dtype dtype, const std::vector<std::int64_t>& shape);

/// The list of tensors that a call is given. Every tensor that the call knows is asked for by name; what is
/// left over is refused.
class Arguments {
 public:
  /// `on`: where the tensors must be. Throws for a name that is null or occurs twice.
  Arguments(const plasticity_argument* list, std::size_t count, Device on);

  /// In a single step a tensor may come without its leading 1.
  void allow_missing_leading_one() { leading_one_optional_ = true; }

  /// The data of the tensor, null when it is absent. Throws Error(invalid_argument) that names it when its
  /// type, shape, strides or place are not as they must be.
  template <class T>
  T* take(const std::string& name, const Shape& shape) {
    return static_cast<T*>(take(name, shape, dtype_of<std::remove_const_t<T>>()));
  }

  /// All tensors of a group, "GROUP.NAME"; `shape_of(name)` is empty for those that the spec does not have.
  template <class Group, class ShapeOf>
  void take_group(const char* group, Group& pointers, ShapeOf shape_of) {
    for (const auto& member : Group::members()) {
      const std::string name = str_cat(group, '.', member.name);
      const std::optional<Shape> shape = shape_of(member.name);
      if (!shape && has(name)) bad_argument(name, "none for a network without it", "a tensor");
      if (!shape) continue;
      auto*& pointer = pointers.*member.pointer;
      pointer = take<std::remove_pointer_t<std::remove_reference_t<decltype(pointer)>>>(name, *shape);
    }
  }

  /// Throws Error(invalid_argument) for a tensor that was not asked for.
  void refuse_others() const;

 private:
  struct Entry {
    std::string name;
    const plasticity_tensor* tensor;
    bool taken = false;
  };
  bool has(std::string_view name) const;
  void* take(const std::string& name, const Shape& shape, plasticity_dtype dtype);
  void check_place(const std::string& name, const plasticity_tensor& tensor) const;

  std::vector<Entry> entries_;
  std::vector<std::string> known_;
  Device on_;
  bool leading_one_optional_ = false;
};

}  // namespace plasticity::c
