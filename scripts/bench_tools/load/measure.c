/* Clocks, memory and latencies. */
#include "load.h"

#include <stdio.h>
#include <string.h>

enum { STEPS = 64, BUCKETS = 64 * STEPS };

static uint64_t histogram[BUCKETS], counted;

uint64_t clock_ns(clockid_t clock) {
    struct timespec at;
    if (clock_gettime(clock, &at)) fail("the clock of the server cannot be read: is it gone?");
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

uint64_t process_cpu(pid_t pid) {
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock)) fail("the server is gone");
    return clock_ns(clock);
}

long process_kb(pid_t pid) {
    char path[64], line[256];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "VmRSS: %ld", &kb);
    if (status) fclose(status);
    return kb;
}

/* Latencies go into buckets that are 3 % wide at most. */
void count_latency(uint64_t ns) {
    int octave = ns < STEPS ? 0 : 63 - __builtin_clzll(ns) - 5;
    uint64_t index = octave ? (uint64_t)octave * (STEPS / 2) + (ns >> octave) : ns;
    counted++;
    histogram[index < BUCKETS ? index : BUCKETS - 1]++;
}

double percentile_ms(double share) {
    uint64_t wanted = (uint64_t)((double)counted * share), seen = 0;
    for (uint64_t i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen <= wanted) continue;
        uint64_t octave = i < STEPS ? 0 : i / (STEPS / 2) - 1;
        return (double)((i - octave * (STEPS / 2)) << octave) / 1e6;
    }
    return 0;
}

void forget_latencies(void) {
    counted = 0;
    memset(histogram, 0, sizeof histogram);
}

uint64_t latencies_counted(void) { return counted; }
