// The life of a group of resident blocks: start, switches between threads, failure, end.
#include "simt/executor/group.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

#include "simt/executor/sanitizer.hpp"

constinit thread_local uint3 threadIdx{}, blockIdx{};
constinit thread_local dim3 blockDim, gridDim;

namespace simt {

constinit thread_local CudaThread* current_thread = nullptr;
constinit thread_local Group* current_group = nullptr;

namespace {

struct Stopped {};  // thrown through a CUDA thread whose launch has failed

uint3 unflatten(unsigned i, const dim3& extent) {
  return {i % extent.x, i / extent.x % extent.y, i / extent.x / extent.y};
}

void run_cuda_thread() {
  CudaThread* thread = self();
  Group& group = *current_group;
  simt::acquire(&group.launch_tag);
  try {
    group.launch.invoke(group.launch.function, group.launch.arguments);
    for (auto& batch : thread->committed_copies) std::for_each(batch.begin(), batch.end(), land);
    std::for_each(thread->open_copies.begin(), thread->open_copies.end(), land);
  } catch (const Stopped&) {
  } catch (const std::exception& e) {
    group.fail(describe(*thread) + " threw: " + e.what());
  } catch (...) {
    group.fail(describe(*thread) + " threw");
  }
  simt::release(&group.end_tag);
  group.thread_exits(thread);
  switch_context(thread->context, group.home, true);
}

}  // namespace

std::string describe(const Location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line()) + " (" + where.function_name() +
         ")";
}

std::string describe(const CudaThread& t) {
  char text[128];
  std::snprintf(text, sizeof text, "thread (%u,%u,%u) of block (%u,%u,%u)", t.index.x, t.index.y, t.index.z,
                t.block_index.x, t.block_index.y, t.block_index.z);
  return text;
}

void stop_kernel(const std::string& what) {
  current_group->fail(what);
  throw Stopped{};
}

void wait_for_turn() { switch_context(self()->context, current_group->home); }

void Group::add_cluster(unsigned number) {
  const dim3& per_cluster = launch.cluster;
  const dim3 clusters_in_grid(launch.grid.x / per_cluster.x, launch.grid.y / per_cluster.y,
                              launch.grid.z / per_cluster.z);
  auto cluster = std::make_unique<Cluster>();
  const uint3 at = unflatten(number, clusters_in_grid);
  for (unsigned i = 0; i < launch.blocks_per_cluster(); ++i) {
    const uint3 inside = unflatten(i, per_cluster);
    add_block(*cluster, {at.x * per_cluster.x + inside.x, at.y * per_cluster.y + inside.y,
                         at.z * per_cluster.z + inside.z});
  }
  clusters.push_back(std::move(cluster));
}

void Group::add_block(Cluster& cluster, uint3 index) {
  const unsigned count = unsigned(launch.threads_per_block()), warps = (count + 31) / 32;
  auto block = std::make_unique<Block>();
  block->number = (index.z * launch.grid.y + index.y) * launch.grid.x + index.x;
  block->number_in_cluster = unsigned(cluster.blocks.size());
  block->cluster = &cluster;
  block->shared.emplace_back(nullptr, launch.shared_bytes, 128);
  block->live = count;
  block->parked.assign(warps, 0);
  block->alive.assign(warps, 0xffffffffu);
  block->warp_tags.resize(warps);
  if (count % 32) block->alive.back() = (1u << count % 32) - 1;

  for (unsigned i = 0; i < count; ++i) {
    auto thread = std::make_unique<CudaThread>();
    thread->index = unflatten(i, launch.block);
    thread->block_index = index;
    thread->block = block.get();
    thread->linear = i;
    thread->context.prepare(stack_pool().take(), run_cuda_thread);
    block->threads.push_back(std::move(thread));
  }
  cluster.blocks.push_back(block.get());
  cluster.threads += count;
  live += count;
  total += count;
  blocks.push_back(std::move(block));
}

void Group::start_all() {
  std::vector<CudaThread*> all;
  for (auto& block : blocks) {
    // A priority compares block first, then warp, then thread.
    const std::uint64_t of_block = ready.random() & 0xffff;
    std::uint64_t of_warp = 0;
    for (auto& thread : block->threads) {
      if (thread->lane() == 0) of_warp = ready.random() & 0xffff;
      thread->priority = of_block << 48 | of_warp << 32 | (ready.random() & 0xffff'ffff);
      all.push_back(thread.get());
    }
  }
  if (ready.order() == Order::reverse) std::reverse(all.begin(), all.end());
  for (CudaThread* thread : all) make_ready(thread);
  stats.threads += all.size();
}

void Group::run() {
  Quiet quiet;
  current_group = this;
  blockDim = launch.block;
  gridDim = launch.grid;
  home.adopt_running();
  simt::release(&launch_tag);
  start_all();
  while (live && error.empty()) {
    CudaThread* next = ready.pop();
    if (!next) {
      fail(deadlock());
    } else if (++idle > config().max_idle) {
      fail("live-lock: " + std::to_string(idle) + " steps without passing a barrier; " + describe(*next) +
           " is one that spins");
    } else {
      resume(next);
    }
  }
  simt::acquire(&end_tag);
  clean_up();
  current_group = nullptr;
}

void Group::resume(CudaThread* thread) {
  ++stats.switches;
  current_thread = thread;
  threadIdx = thread->index;
  blockIdx = thread->block_index;
  switch_context(home, thread->context);
  current_thread = nullptr;
}

void Group::clean_up() {
  for (auto& block : blocks) {
    for (auto& thread : block->threads) {
      if (thread->state == State::done) {
        stack_pool().put_back(thread->context.stack);
        continue;
      }
#if defined(SIMT_TSAN)
      // Abandoned by a failed launch. Order it before us, then leak it: TSan may find its annotations
      // unbalanced.
      __tsan_switch_to_fiber(thread->context.stack.tsan, 0);
      __tsan_switch_to_fiber(home.stack.tsan, 0);
#else
      StackPool::destroy(thread->context.stack);
#endif
    }
  }
}

void Group::make_ready(CudaThread* thread) {
  thread->state = State::ready;
  ready.push(thread);
}

void Group::fail(const std::string& what) {
  if (error.empty()) error = what;
}

std::string Group::deadlock() const {
  struct Waiters {
    unsigned count = 0;
    std::string first;
  };
  std::map<std::string, Waiters> places;
  for (auto& block : blocks) {
    for (auto& thread : block->threads) {
      if (thread->state == State::done) continue;
      std::string place = thread->doing;
      if (thread->state == State::in_warp_call) {
        char mask[32];
        std::snprintf(mask, sizeof mask, " with mask 0x%08x", thread->call->mask);
        place += mask;
      }
      Waiters& here = places[place + " at " + describe(thread->where)];
      if (!here.count++) here.first = describe(*thread);
    }
  }
  std::string text = "deadlock:";
  for (auto& [place, waiters] : places)
    text += "\n  " + std::to_string(waiters.count) + " thread(s) in " + place + ", first " + waiters.first;
  return text;
}

}  // namespace simt
