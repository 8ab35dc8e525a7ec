#include "cpu/threads/parallel.hpp"

#if __has_include(<pthread.h>)
#include <pthread.h>
#endif

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace plasticity::cpu {
namespace {

/// One parallel_for. Every index is run even if a body throws, because another body may wait for one that has
/// not begun.
struct Job {
  std::int64_t count;
  const FunctionRef<void(std::int64_t, int)>* body;
  std::atomic<std::int64_t> next{0};
  std::atomic<int> workers{1};  // the caller is worker 0
  std::mutex mutex;
  std::condition_variable finished;
  // Guarded by the mutex:
  int running = 0;             // working helpers
  bool closed = false;         // whether helpers may no longer start
  std::exception_ptr failure;  // the first exception of a body

  void work(int worker) noexcept {
    for (std::int64_t index = next++; index < count; index = next++) {
      try {
        (*body)(index, worker);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (failure == nullptr) failure = std::current_exception();
      }
    }
  }

  void help() {
    {
      const std::lock_guard lock(mutex);
      if (closed) return;
      ++running;
    }
    work(workers++);
    const std::lock_guard lock(mutex);
    if (--running == 0) finished.notify_one();
  }
};

class Pool {
 public:
  // Held during fork().
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void run(int threads, const std::shared_ptr<Job>& job) {
    try {
      call_helpers(threads - 1, job);
    } catch (const std::exception&) {
      // The system could not create a thread or allocate memory. The existing threads do the work.
    }
    wake_.notify_all();
    job->work(0);
    std::unique_lock lock(job->mutex);
    job->closed = true;
    job->finished.wait(lock, [&] { return job->running == 0; });
    // Taken out of the job, because a helper may be the last to release the job.
    if (job->failure != nullptr) std::rethrow_exception(std::exchange(job->failure, nullptr));
  }

 private:
  void call_helpers(int count, const std::shared_ptr<Job>& job) {
    const std::lock_guard lock(mutex_);
    for (int helper = 0; helper < count; ++helper) jobs_.push_back(job);
    while (threads_.size() < static_cast<std::size_t>(count)) {
      if (taken_.size() == threads_.size()) taken_.emplace_back();
      threads_.emplace_back([this, &job = taken_.back()] { serve(job); });
    }
  }

  /// Runs jobs until the pool stops. `job` is an element of taken_.
  void serve(std::shared_ptr<Job>& job) {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        job.reset();
        wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
        if (stopping_) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job->help();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> jobs_;
  // The job of each thread. Changed under the mutex only, so that fork() never loses the owner of a job.
  std::list<std::shared_ptr<Job>> taken_;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
};

/// The pool of this process.
///
/// fork() copies the pool but not its threads. So the child process abandons the copy, whose locks and
/// threads are unusable, and creates a pool of its own when it needs one. The abandoned one stays reachable
/// and is not destroyed, because its destructor would wait for threads that do not exist.
class ProcessPool {
 public:
  ~ProcessPool() { delete pool_; }

  Pool& get() {
    const std::lock_guard lock(mutex_);
    if (pool_ == nullptr) {
#if __has_include(<pthread.h>)
      if (abandoned_ == nullptr) pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
#endif
      pool_ = new Pool;
    }
    return *pool_;
  }

 private:
  static void before_fork();
  static void after_fork_in_parent();
  static void after_fork_in_child();

  std::mutex mutex_;
  Pool* pool_ = nullptr;
  Pool* abandoned_ = nullptr;
};

ProcessPool process_pool;

void ProcessPool::before_fork() {
  process_pool.mutex_.lock();
  if (process_pool.pool_ != nullptr) process_pool.pool_->lock();
}
void ProcessPool::after_fork_in_parent() {
  if (process_pool.pool_ != nullptr) process_pool.pool_->unlock();
  process_pool.mutex_.unlock();
}
void ProcessPool::after_fork_in_child() {
  if (process_pool.pool_ != nullptr) process_pool.abandoned_ = std::exchange(process_pool.pool_, nullptr);
  process_pool.mutex_.unlock();
}

}  // namespace

void parallel_for(int threads, std::int64_t count, FunctionRef<void(std::int64_t, int)> body) {
  const int useful = static_cast<int>(std::min<std::int64_t>(threads, count));
  if (useful <= 1) {
    for (std::int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  const auto job = std::make_shared<Job>();
  job->count = count;
  job->body = &body;
  process_pool.get().run(useful, job);
}

}  // namespace plasticity::cpu
