#pragma once
// What a thread says of itself to the operating system, and how it waits.
#include <chrono>
#include <stop_token>

namespace assay {

// As `top -H` and a profiler show it: at most 15 bytes.
void name_this_thread(const char* name);

// For work that may be late but must not stand still (resolving, committing): while the processors are all wanted this
// thread gets about a tenth of what one that answers clients gets, and everything that is left over otherwise. Where
// the system knows no priority of a single thread, nothing changes.
void run_in_background();

// For a load generator on the same processors: an answer that wakes it does not take the processor from the thread that
// sends it, as no client on another machine would.
void run_as_batch();

// True: the time is over. False: a stop is asked for, and was perhaps before.
bool sleep_unless_stopped(std::stop_token stop, std::chrono::milliseconds time);

}  // namespace assay
