/*
 * Wine 8 has no bcryptprimitives.dll, from which Rust's library takes its random numbers. What
 * ProcessPrng promises, SystemFunction036 (RtlGenRandom) of advapi32.dll does too.
 */
#include <stddef.h>

unsigned char __stdcall SystemFunction036(void *bytes, unsigned long count);

__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *bytes, size_t count)
{
    return SystemFunction036(bytes, (unsigned long)count);
}
