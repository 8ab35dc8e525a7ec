#include "plasticity/communicator.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/throw_error.hpp"
#include "base/tree.hpp"
#include "communicator/slices.hpp"
#include "communicator/time_limit.hpp"
#include "plasticity/device_memory.hpp"

// The calls of every communicator, in terms of exchange().
namespace plasticity {
namespace {

// Up to this size of a sum every rank sends everything to every other rank: one exchange instead of two.
constexpr std::size_t small_bytes = 4096;

template <class Real>
void add(Real* to, const Real* from, std::int64_t count) {
  for (std::int64_t k = 0; k < count; ++k) to[k] += from[k];
}

}  // namespace

Communicator::Communicator(int rank, int size, const CommunicatorOptions& options)
    : rank_(rank), size_(size), time_limit_(options.time_limit) {
  if (size < 1) bad_argument("size", "at least 1", str_cat(size));
  if (rank < 0 || rank >= size) bad_argument("rank", str_cat("0 to ", size - 1), str_cat(rank));
  check_time_limit(options);
  send_.resize(static_cast<std::size_t>(size));
  receive_.resize(static_cast<std::size_t>(size));
}

Communicator::~Communicator() = default;

const char* Communicator::name_of(Call call) {
  switch (call) {
    case Call::sum: return "sum()";
    case Call::sum_of_doubles: return "sum() of doubles";
    case Call::broadcast: return "broadcast()";
    case Call::all_gather: return "all_gather()";
    case Call::barrier: return "barrier()";
  }
  return "an unknown call";
}

void Communicator::fail(const std::string& message) {
  if (failure_.empty()) failure_ = message;
  throw Error(ErrorCode::communication, failure_);
}

void Communicator::check_usable() const {
  if (has_failed()) throw Error(ErrorCode::communication, failure_);
}

void Communicator::abort(int exit_code) { std::_Exit(exit_code); }

void Communicator::sum(std::span<float> values) { sum_values(values); }
void Communicator::sum(std::span<double> values) { sum_values(values); }

void Communicator::sum(Device device, Stream stream, float* values, std::int64_t count) {
  if (count < 0) bad_argument("count", "at least 0", str_cat(count));
  if (values == nullptr && count > 0) bad_argument("values", str_cat(count, " elements"), "null");
  if (device.kind() == DeviceKind::cpu) return sum(std::span(values, static_cast<std::size_t>(count)));
  check_usable();
  sum_on_device(device, stream, values, count);
}

void Communicator::sum_on_device(Device device, Stream stream, float* values, std::int64_t count) {
  std::vector<float> on_host(static_cast<std::size_t>(count));
  copy(device, stream, on_host.data(), values, on_host.size() * sizeof(float));
  sum(std::span(on_host));
  copy(device, stream, values, on_host.data(), on_host.size() * sizeof(float));
}

void Communicator::gather(Call call, std::span<const std::byte> own,
                          std::span<const std::span<std::byte>> receive) {
  std::fill(send_.begin(), send_.end(), own);
  exchange(call, send_, receive);
}

/// Every rank adds one slice of the values, whose parts it receives from the other ranks, and sends the sum
/// back. If there are few values, every rank adds all of them.
template <class Real>
void Communicator::sum_values(std::span<Real> values) {
  check_usable();
  if (size_ == 1 || values.empty()) return;
  const auto count = static_cast<std::int64_t>(values.size());
  constexpr Call call = std::is_same_v<Real, double> ? Call::sum_of_doubles : Call::sum;
  const bool whole = values.size_bytes() <= small_bytes;
  const ItemRange own = whole ? ItemRange{0, count} : equal_slice(count, size_, rank_);
  const auto own_bytes = static_cast<std::size_t>(own.count) * sizeof(Real);
  received_.resize(own_bytes * static_cast<std::size_t>(size_));
  std::vector<Real*> items(static_cast<std::size_t>(size_));
  for (int r = 0; r < size_; ++r) {
    const auto index = static_cast<std::size_t>(r);
    const ItemRange slice = whole ? own : equal_slice(count, size_, r);
    send_[index] = std::as_bytes(
        values.subspan(static_cast<std::size_t>(slice.first), static_cast<std::size_t>(slice.count)));
    receive_[index] = std::span(received_).subspan(index * own_bytes, own_bytes);
    items[index] = reinterpret_cast<Real*>(receive_[index].data());
  }
  if (whole) {
    gather(call, std::as_bytes(values), receive_);
  } else {
    exchange(call, send_, receive_);
  }
  Real* const result = values.data() + own.first;
  items[static_cast<std::size_t>(rank_)] = result;
  add_in_tree(0, size_, [&](std::int64_t to, std::int64_t from) {
    add(items[static_cast<std::size_t>(to)], items[static_cast<std::size_t>(from)], own.count);
  });
  if (own.count > 0 && items[0] != result) std::memcpy(result, items[0], own_bytes);
  if (whole) return;
  std::vector<std::int64_t> first;
  for (int r = 0; r <= size_; ++r) first.push_back(equal_slice(count, size_, r).first);
  all_gather(values, std::span<const std::int64_t>(first));
}

void Communicator::broadcast_bytes(std::span<std::byte> values, int root) {
  check_usable();
  if (root < 0 || root >= size_) bad_argument("root", str_cat("0 to ", size_ - 1), str_cat(root));
  if (size_ == 1) return;
  std::fill(receive_.begin(), receive_.end(), std::span<std::byte>());
  receive_[static_cast<std::size_t>(root)] = values;
  gather(Call::broadcast, rank_ == root ? values : std::span<std::byte>(), receive_);
}

void Communicator::all_gather_bytes(std::span<std::byte> values, std::span<const std::int64_t> first,
                                    std::size_t element_bytes) {
  check_usable();
  const auto count = static_cast<std::int64_t>(values.size() / element_bytes);
  if (first.size() != static_cast<std::size_t>(size_) + 1)
    bad_argument("first", str_cat(size_ + 1, " elements"), str_cat(first.size()));
  for (std::size_t r = 0; r < first.size(); ++r) {
    const std::int64_t low = r == 0 ? 0 : first[r - 1];
    const bool at_end = r + 1 == first.size(), legal = r == 0   ? first[r] == 0
                                                       : at_end ? first[r] == count && first[r] >= low
                                                                : first[r] >= low && first[r] <= count;
    if (legal) continue;
    bad_argument(str_cat("first[", r, "]"),
                 r == 0   ? "0"
                 : at_end ? str_cat(count, ", the number of values")
                          : str_cat(low, " to ", count),
                 str_cat(first[r]));
  }
  if (size_ == 1) return;
  const auto slice = [&](std::size_t r) {
    const auto begin = static_cast<std::size_t>(first[r]), end = static_cast<std::size_t>(first[r + 1]);
    return values.subspan(begin * element_bytes, (end - begin) * element_bytes);
  };
  for (std::size_t r = 0; r < receive_.size(); ++r) receive_[r] = slice(r);
  gather(Call::all_gather, slice(static_cast<std::size_t>(rank_)), receive_);
}

void Communicator::barrier() {
  check_usable();
  if (size_ == 1) return;
  static constexpr std::byte token[1]{};
  received_.resize(static_cast<std::size_t>(size_));
  for (std::size_t r = 0; r < receive_.size(); ++r) receive_[r] = std::span(received_).subspan(r, 1);
  gather(Call::barrier, token, receive_);
}

BatchSlice slice_of(const Communicator* communicator, std::int64_t batch) {
  if (batch < 0) bad_argument("batch", "at least 0", str_cat(batch));
  if (communicator == nullptr) return {0, batch};
  const int ranks = communicator->size();
  if (batch % ranks != 0)
    bad_argument("batch", str_cat("a multiple of ", ranks, ", the number of ranks"), str_cat(batch));
  return {batch / ranks * communicator->rank(), batch / ranks};
}

}  // namespace plasticity
