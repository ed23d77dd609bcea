// A few threads that share the items of one loop at a time.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace smidgen {

class ThreadTeam {
    static constexpr int SPIN_MICROSECONDS = 20;

   public:
    explicit ThreadTeam(int threads) {
        try {
            for (int i = 1; i < threads; ++i) helpers_.emplace_back([this, i] { serve(i); });
        } catch (const std::system_error&) {
            // The system gives no more threads; those that have started do the same work.
        }
    }

    ~ThreadTeam() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ending_ = true;
        }
        wake_.notify_all();
        for (std::thread& helper : helpers_) helper.join();
    }

    int size() const { return int(helpers_.size()) + 1; }

    // Calls work(item, thread) for every item of [0, items); returns when all are done. Must not be called by two threads
    // at once.
    void each(int items, const std::function<void(int, int)>& work) {
        if (helpers_.empty() || items < 2) {
            for (int item = 0; item < items; ++item) work(item, 0);
            return;
        }
        {
            std::lock_guard<std::mutex> lock(mutex_);
            work_ = &work;
            items_ = items;
            next_ = 0;
            busy_ = int(helpers_.size());
            ++round_;
        }
        wake_.notify_all();
        work_on_items(0);
        if (spin([this] { return busy_ == 0; })) return;
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [this] { return busy_ == 0; });
    }

   private:
    // Sleeping and waking cost more than most loops, so spin briefly first. Returns whether `ready` became true.
    template <typename Ready>
    static bool spin(const Ready& ready) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(SPIN_MICROSECONDS);
        while (!ready())
            if (std::chrono::steady_clock::now() > end) return false;
        return true;
    }

    void work_on_items(int thread) {
        for (int item; (item = next_.fetch_add(1)) < items_;) (*work_)(item, thread);
    }

    void serve(int thread) {
        for (int64_t seen = 0;;) {
            const auto is_called = [&] { return ending_ || round_ != seen; };
            if (!spin(is_called)) {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, is_called);
            }
            if (ending_) return;
            seen = round_;  // the next round begins only when all threads have finished this one
            work_on_items(thread);
            std::lock_guard<std::mutex> lock(mutex_);
            if (--busy_ == 0) done_.notify_one();
        }
    }

    std::vector<std::thread> helpers_;
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    const std::function<void(int, int)>* work_ = nullptr;
    std::atomic<int> next_{0};
    int items_ = 0;
    std::atomic<int> busy_{0};
    std::atomic<int64_t> round_{0};
    std::atomic<bool> ending_{false};
};

}  // namespace smidgen
