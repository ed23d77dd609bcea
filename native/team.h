// A few threads that share one loop at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace smidgen {

class Team {
   public:
    explicit Team(int threads) {
        try {
            for (int i = 1; i < threads; ++i) helpers_.emplace_back([this, i] { serve(i); });
        } catch (const std::system_error&) {
            // The machine gives no more threads; those that are here do the same work.
        }
    }

    ~Team() {
        {
            std::lock_guard<std::mutex> hold(mutex_);
            ending_ = true;
        }
        wake_.notify_all();
        for (std::thread& helper : helpers_) helper.join();
    }

    int size() const { return int(helpers_.size()) + 1; }

    // Calls work(item, thread) for every item of [0, items); returns when all are done.
    void each(int items, const std::function<void(int, int)>& work) {
        if (helpers_.empty() || items < 2) {
            for (int item = 0; item < items; ++item) work(item, 0);
            return;
        }
        {
            std::lock_guard<std::mutex> hold(mutex_);
            work_ = &work;
            items_ = items;
            next_ = 0;
            busy_ = int(helpers_.size());
            ++round_;
        }
        wake_.notify_all();
        take(0);
        std::unique_lock<std::mutex> hold(mutex_);
        done_.wait(hold, [this] { return busy_ == 0; });
    }

   private:
    void take(int thread) {
        for (int item; (item = next_.fetch_add(1)) < items_;) (*work_)(item, thread);
    }

    void serve(int thread) {
        for (long seen = 0;;) {
            {
                std::unique_lock<std::mutex> hold(mutex_);
                wake_.wait(hold, [&] { return ending_ || round_ != seen; });
                if (ending_) return;
                seen = round_;
            }
            take(thread);
            std::lock_guard<std::mutex> hold(mutex_);
            if (--busy_ == 0) done_.notify_one();
        }
    }

    std::vector<std::thread> helpers_;
    std::mutex mutex_;
    std::condition_variable wake_, done_;
    const std::function<void(int, int)>* work_ = nullptr;
    std::atomic<int> next_{0};
    int items_ = 0, busy_ = 0;
    long round_ = 0;
    bool ending_ = false;
};

}  // namespace smidgen
