#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "plasticity/config.h"
#include "plasticity/device.hpp"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/memory.hpp"
#include "plasticity/owner.hpp"
#include "plasticity/parameter_view.hpp"

namespace plasticity {

/// Arguments of linear_forward(): y = x W + b. Pointers are to memory of the device.
struct LinearArgs {
  std::int64_t rows = 0;          ///< at least 0
  std::int64_t inputs = 0;        ///< at least 0
  std::int64_t outputs = 0;       ///< at least 0
  const float* x = nullptr;       ///< [rows,inputs]
  const float* weight = nullptr;  ///< [inputs,outputs] W
  const float* bias = nullptr;    ///< [outputs] b
  float* y = nullptr;             ///< [rows,outputs] out; must not overlap another tensor
};

/// Arguments of linear_backward(). Pointers are to memory of the device.
struct LinearGradientArgs {
  std::int64_t rows = 0;          ///< at least 0
  std::int64_t inputs = 0;        ///< at least 0
  std::int64_t outputs = 0;       ///< at least 0
  const float* x = nullptr;       ///< [rows,inputs] as in forward
  const float* weight = nullptr;  ///< [inputs,outputs] as in forward; may be null without dx
  const float* dy = nullptr;      ///< [rows,outputs] upstream gradient of y
  float* dweight = nullptr;       ///< [inputs,outputs] out: the gradient is ADDED to the current values
  float* dbias = nullptr;         ///< [outputs] out: the gradient is ADDED to the current values
  float* dx = nullptr;  ///< [rows,inputs] out: overwritten, or null; must not overlap another tensor
  /// B > 0: the rows are [T,B], and the CPU adds the gradients of the B samples in the order of a fixed tree,
  /// so that ranks with parts of a batch get the bits of one with the whole (see communicator.hpp). 0: it
  /// adds the rows in order. A GPU ignores it.
  std::int64_t batch = 0;
};

/// Returns the scratch bytes of linear_backward() for a matrix of this size.
PLASTICITY_API std::size_t linear_scratch_bytes(Device device, std::int64_t inputs, std::int64_t outputs);

/// @{
/// Core calls on the caller's buffers and stream. They neither allocate device memory nor wait. A row of y
/// and of dx has the same bits alone and among other rows. Throw Error(invalid_argument) for a negative size
/// or a null pointer.
PLASTICITY_API void linear_forward(Device device, Stream stream, const LinearArgs& args);
PLASTICITY_API void linear_backward(Device device, Stream stream, const LinearGradientArgs& args,
                                    Scratch scratch);
/// @}

/// A linear layer, y = x W + b, with W [inputs, outputs] and b [outputs]. Initial parameters are uniform in
/// +-1/sqrt(inputs). Their names are NAME.weight and NAME.bias.
///
/// All views that the calls take and return are in host memory. On a GPU each call copies its tensors to the
/// device and its results back, and waits for the stream. linear_forward() and linear_backward() work in
/// device memory. Calls on a GPU, also const ones, are for one thread at a time.
///
/// On a GPU the layer keeps W and b on the device. A call uploads them if an optimizer's step, load() or
/// parameters() has been called since the last upload. Call parameters() again before you write to its views
/// by other means: the next call then uploads W and b. With PLASTICITY_CHECKS=on in the environment of
/// the constructor, a call whose W or b differ from those on the device throws Error(invalid_argument).
class PLASTICITY_API Linear {
 public:
  /// `stream` is used on a GPU and must outlive the layer. Throws Error(invalid_argument) if a size is below
  /// 1 or W has more than 2^48 elements, and Error(out_of_memory).
  Linear(std::int64_t inputs, std::int64_t outputs, std::uint64_t seed, std::string name = "linear",
         Device device = Device::cpu(1), Stream stream = {});

  Linear(const Linear& other);                 ///< copies W, b and their gradients
  Linear& operator=(const Linear& other);      ///< copies W, b and their gradients
  Linear(Linear&& other) noexcept;             ///< then `other` may only be assigned to
  Linear& operator=(Linear&& other) noexcept;  ///< then `other` may only be assigned to
  ~Linear();

  std::int64_t inputs() const;   ///< width of x
  std::int64_t outputs() const;  ///< width of y
  Device device() const;         ///< device that runs the layer

  /// Computes y [rows, outputs] from x [rows, inputs]. The number of rows follows from the size of x. Throws
  /// Error(invalid_argument) if the sizes do not match or y overlaps x, and Error(out_of_memory).
  void forward(std::span<const float> x, std::span<float> y) const;

  /// Adds the gradients of W and b, and writes dx [rows, inputs] unless dx is empty. dy is [rows, outputs].
  /// With `batch` = B > 0 the rows are [T,B]; see LinearGradientArgs::batch. Throws Error(invalid_argument)
  /// if the sizes do not match, dx overlaps x, dy, W or b, or B does not divide the rows, and
  /// Error(out_of_memory).
  void backward(std::span<const float> x, std::span<const float> dy, std::span<float> dx,
                std::int64_t batch = 0);

  void zero_gradients();  ///< sets the gradients of W and b to zero
  /// Returns views of W and b. They are valid as long as this object, also if a layer of the same size is
  /// copied to it; if one is moved to it, they end. On a GPU the next call uploads W and b.
  std::vector<ParameterView> parameters();

  /// Stores W and b in `file` as "param.NAME.weight" and "param.NAME.bias". Throws Error(invalid_argument)
  /// and changes nothing if the file has one of these tensors.
  void save(io::TensorFile& file) const;
  /// Loads W and b from a file that save() wrote. Throws Error(format) and changes nothing if one is missing
  /// or has another shape.
  void load(const io::TensorFile& file);

 private:
  struct Implementation;
  Owner<Implementation> implementation_;
};

}  // namespace plasticity
