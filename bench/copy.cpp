#include "copy.hpp"

#include <algorithm>
#include <barrier>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <thread>
#include <tuple>

namespace plasticity::bench {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double measure(Device device, std::size_t footprint) {
  constexpr double min_seconds = 1e-3;  // short, so that some measurements are undisturbed
  constexpr int repetitions = 25;
  Copier copier(device, footprint);
  std::int64_t rounds = 1;
  while (copier.seconds(rounds) < min_seconds) rounds *= 2;
  double best = copier.seconds(rounds);
  for (int k = 1; k < repetitions; ++k) best = std::min(best, copier.seconds(rounds));
  return static_cast<double>(copier.bytes()) * static_cast<double>(rounds) / best;
}

double rate_at(Device device, std::size_t footprint) {
  static std::map<std::tuple<DeviceKind, int, int, std::size_t>, double> known;
  double& rate = known[{device.kind(), device.index(), device.threads(), footprint}];
  if (rate == 0) rate = measure(device, footprint);
  return rate;
}

}  // namespace

Copier::Copier(Device device, std::size_t footprint) : device_(device) {
  const auto threads = static_cast<std::size_t>(std::max(device.threads(), 1));
  share_ = std::max<std::size_t>(footprint / 2 / threads / 64 * 64, 64);
  parts_.resize(threads);
  for (Part& part : parts_) {
    // Source and target start at different offsets within a page, so that loads do not wait for stores with
    // equal low address bits.
    constexpr std::size_t page = 4096;
    const std::size_t between = (share_ + page - 1) / page * page + page / 2 + 64;
    part.memory = DeviceMemory(device, between + share_);
    fill_zero(device, {}, part.memory.data(), part.memory.bytes());
    part.from = part.memory.data();
    part.to = static_cast<std::byte*>(part.from) + between;
  }
}

double Copier::seconds(std::int64_t rounds) {
  if (device_.kind() == DeviceKind::cuda) {
    synchronize(device_, {});
    const Clock::time_point start = Clock::now();
    for (std::int64_t k = 0; k < rounds; ++k) copy(device_, {}, parts_[0].to, parts_[0].from, share_);
    return since(start);
  }
  Clock::time_point start;
  double elapsed = 0;
  std::barrier begin(static_cast<std::ptrdiff_t>(parts_.size()), [&]() noexcept { start = Clock::now(); });
  std::barrier end(static_cast<std::ptrdiff_t>(parts_.size()), [&]() noexcept { elapsed = since(start); });
  const auto work = [&](Part& part) {
    begin.arrive_and_wait();
    for (std::int64_t k = 0; k < rounds; ++k) {
      std::memcpy(part.to, part.from, share_);
      asm volatile("" ::: "memory");  // keeps the compiler from removing rounds
    }
    end.arrive_and_wait();
  };
  std::vector<std::jthread> others;
  for (std::size_t k = 1; k < parts_.size(); ++k) others.emplace_back([&, k] { work(parts_[k]); });
  work(parts_[0]);
  return elapsed;
}

double copy_rate(Device device, std::size_t footprint) {
  constexpr std::size_t min_bytes = 16 << 10, max_bytes = 256 << 20;
  footprint = std::clamp(footprint, min_bytes, max_bytes);
  const std::size_t below = std::bit_floor(footprint);
  if (below == footprint) return rate_at(device, footprint);
  const double low = rate_at(device, below), high = rate_at(device, 2 * below);
  return low + (high - low) * std::log2(static_cast<double>(footprint) / static_cast<double>(below));
}

}  // namespace plasticity::bench
