/* Presses Ctrl-C in the console of a process: ctrl-c PID. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

static BOOL WINAPI not_for_us(DWORD event)
{
    (void)event;
    return TRUE;
}

static BOOL press(DWORD process)
{
    FreeConsole();
    return AttachConsole(process) && SetConsoleCtrlHandler(not_for_us, TRUE)
        && GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0);
}

int main(int count, char **arguments)
{
    if (count != 2)
        return 2;
    /* Wine makes the console of a new process ready a moment after the process. */
    for (int attempt = 0; attempt < 100; attempt++, Sleep(20))
        if (press(strtoul(arguments[1], NULL, 10)))
            return 0;
    fprintf(stderr, "ctrl-c: error %lu\n", GetLastError());
    return 1;
}
