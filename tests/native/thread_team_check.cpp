// Exercises the core's team of threads so that ThreadSanitizer sees every path: rounds that end while helpers spin and
// while they sleep, rounds of fewer items than threads, teams that end at once, and several teams side by side.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include "../../native/thread_team.h"

namespace {

// Work without atomics: a race between two rounds, or between a helper and the caller, is one on these values.
bool sums_are_right(smidgen::ThreadTeam& team, int rounds, int items, int pause_microseconds) {
    std::vector<int64_t> values(items, 0), by_thread(team.size(), 0);
    for (int round = 1; round <= rounds; ++round) {
        team.each(items, [&](int item, int thread) {
            values[item] += item + round;
            by_thread[thread] += 1;
        });
        int64_t sum = 0;
        for (int item = 0; item < items; ++item) sum += values[item];
        const int64_t wanted = int64_t(round) * items * (items - 1) / 2 + int64_t(items) * round * (round + 1) / 2;
        if (sum != wanted) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(pause_microseconds));
    }
    int64_t done = 0;
    for (const int64_t count : by_thread) done += count;
    return done == int64_t(rounds) * items;
}

bool team_is_right(int threads) {
    for (int repeat = 0; repeat < 20; ++repeat) smidgen::ThreadTeam ends_at_once(threads);
    smidgen::ThreadTeam team(threads);
    bool right = true;
    for (const int items : {0, 1, 2, 3, 64, 1000}) {
        right = right && sums_are_right(team, 300, items, 0);    // helpers spin
        right = right && sums_are_right(team, 10, items, 200);   // helpers sleep
    }
    return right;
}

}  // namespace

int main() {
    bool right = true;
    for (const int threads : {1, 2, 3, 8}) right = right && team_is_right(threads);
    std::vector<int> side_by_side(3, 0);
    std::vector<std::thread> callers;
    for (int& answer : side_by_side) callers.emplace_back([&answer] { answer = team_is_right(3); });
    for (std::thread& caller : callers) caller.join();
    for (const int answer : side_by_side) right = right && answer;
    std::puts(right ? "every sum is right" : "a sum is wrong");
    return right ? 0 : 1;
}
