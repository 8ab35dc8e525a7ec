// A launch: the blocks that are resident together, and the order of groups of blocks.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "simt/executor/group.hpp"
#include "simt/executor/sanitizer.hpp"

namespace simt {
namespace {

/// Reads a number from the environment, if the variable is set.
template <class T>
void read_number(const char* variable, T& value) {
  const char* const text = std::getenv(variable);
  if (!text) return;
  const char* const end = text + std::strlen(text);
  if (const auto result = std::from_chars(text, end, value); result.ec != std::errc() || result.ptr != end)
    throw Error(std::string(variable) + ": expected a number, got " + text);
}

Config from_environment() {
  Config config;
  if (const char* const name = std::getenv("SIMT_ORDER")) {
    const auto found = std::find(std::begin(order_names), std::end(order_names), std::string_view(name));
    if (found == std::end(order_names))
      throw Error(std::string("SIMT_ORDER: expected forward, reverse, random or priority, got ") + name);
    config.order = Order(found - std::begin(order_names));
  }
  read_number("SIMT_SEED", config.seed);
  read_number("SIMT_RESIDENT", config.resident_threads);
  return config;
}

Stats& totals() {
  static Stats sum;
  return sum;
}

uint3 first_block(const Launch& launch, unsigned cluster) {
  const unsigned nx = launch.grid.x / launch.cluster.x, ny = launch.grid.y / launch.cluster.y;
  return {cluster % nx * launch.cluster.x, cluster / nx % ny * launch.cluster.y,
          cluster / nx / ny * launch.cluster.z};
}

constexpr std::uint64_t max_blocks = 1u << 26;  // a list of them is made, whatever only_block says

std::vector<unsigned> clusters_in_order(const Launch& launch, bool randomised) {
  if (launch.blocks() > max_blocks)
    throw Error("a grid of more than 2^26 blocks is too much for this executor");
  std::vector<unsigned> clusters(launch.blocks() / launch.blocks_per_cluster());
  std::iota(clusters.begin(), clusters.end(), 0u);
  if (const auto& wanted = config().only_block)
    std::erase_if(clusters, [&](unsigned i) { return !wanted(first_block(launch, i)); });
  if (config().order == Order::reverse) std::reverse(clusters.begin(), clusters.end());
  if (randomised)
    std::shuffle(clusters.begin(), clusters.end(), std::mt19937_64(config().seed + launch.number));
  return clusters;
}

void run_together(const Launch& launch, const std::vector<unsigned>& clusters, std::uint64_t salt) {
  Quiet quiet;
  Group group(launch, (config().seed + launch.number * 1'000'003) * 0x9e3779b97f4a7c15ull + salt);
  for (unsigned cluster : clusters) group.add_cluster(cluster);
  group.run();
  Stats& sum = totals();
  sum.threads += group.stats.threads;
  sum.switches += group.stats.switches;
  sum.barriers += group.stats.barriers;
  sum.warp_operations += group.stats.warp_operations;
  if (!group.error.empty()) throw Error(group.error);
}

}  // namespace

Config& config() {
  static Config current = from_environment();
  return current;
}

Stats stats() { return totals(); }
void reset_stats() { totals() = {}; }

void execute(const Launch& launch) {
  ++totals().launches;
  const bool randomised = config().order == Order::random || config().order == Order::priority;
  const std::vector<unsigned> clusters = clusters_in_order(launch, randomised);
  const unsigned at_once = config().resident_threads ? config().resident_threads : default_resident_threads;
  // Interleaved blocks show races between blocks; block after block shows what a block leaves undone for the
  // next.
#if defined(SIMT_TSAN)
  const bool interleave = true;
#else
  const bool interleave = randomised && config().seed % 2 == 0;
#endif
  if (launch.cooperative || (interleave && launch.threads_per_block() * launch.blocks() <= at_once))
    return run_together(launch, clusters, 0);
  for (unsigned cluster : clusters) run_together(launch, {cluster}, cluster);
}

}  // namespace simt
