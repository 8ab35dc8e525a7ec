#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <memory>
#include <utility>

#include "plasticity/config.h"

namespace plasticity {

/// Throws Error(invalid_argument) that names an object that was moved from.
[[noreturn]] PLASTICITY_API void throw_moved_from(const char* name);

/// The only owner of the data of a movable object. Access to the data of an object that was moved from throws
/// Error(invalid_argument).
template <class Data>
class Owner {
 public:
  Owner(std::unique_ptr<Data> data, const char* name) : data_(std::move(data)), name_(name) {}  ///< owns it
  Owner(Owner&&) noexcept = default;             ///< leaves the other owner empty
  Owner& operator=(Owner&&) noexcept = default;  ///< leaves the other owner empty

  bool empty() const { return data_ == nullptr; }  ///< whether the data were moved away
  Data* operator->() const { return &**this; }     ///< the data; throws if it was moved away
  Data& operator*() const {                        ///< the data; throws if it was moved away
    if (data_ == nullptr) throw_moved_from(name_);
    return *data_;
  }
  /// Returns the data for a call that must outlive this owner, because the caller's code may destroy it
  /// meanwhile. Throws if the data were moved away.
  std::shared_ptr<Data> hold() const {
    if (data_ == nullptr) throw_moved_from(name_);
    return data_;
  }

 private:
  std::shared_ptr<Data> data_;  // shared with running calls only
  const char* name_;            // of the object in messages
};

}  // namespace plasticity
