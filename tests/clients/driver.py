"""Does with the client what each line of standard input says: driver.py CLIENT [OPTION=VALUE]..."""

import importlib.util
import sys
import threading

spec = importlib.util.spec_from_file_location("dd_credential", sys.argv[1])
dd_credential = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = dd_credential
sys.dont_write_bytecode = True
spec.loader.exec_module(dd_credential)

options = dict(option.split("=", 1) for option in sys.argv[2:])
for number in {"margin", "deadline"} & options.keys():
    options[number] = float(options[number])
options["interactive"] = options.get("interactive") != "no"
client = dd_credential.Client(**options)
printing = threading.Lock()


def tell(*fields):
    with printing:
        print(*fields, sep="\t", flush=True)


def attempt(work):
    try:
        credential = work()
    except dd_credential.HelperMissing:
        tell("error", "missing")
    except dd_credential.LoginRequired:
        tell("error", "login")
    except dd_credential.TemporaryFailure:
        tell("error", "temporary")
    except dd_credential.CredentialError:
        tell("error", "failed")
    else:
        if credential is None:
            tell("same")
        elif isinstance(credential, int):
            tell("status", credential)
        else:
            assert credential.access_token not in repr(credential)
            c = credential
            tell("credential", c.access_token, c.expires_at or "", c.site, c.api_url, c.org or "")


def send(credential):
    tell("send", credential.access_token)
    status = int(sys.stdin.readline())
    return status, status


def together(count, work):
    threads = [threading.Thread(target=attempt, args=(work,)) for _ in range(int(count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


while line := sys.stdin.readline():
    command, *count = line.split()
    if command == "get":
        attempt(client.get)
    elif command == "together":
        together(*count, client.get)
    elif command == "renew":
        rejected = client.get()
        together(*count, lambda: client.renew(rejected))
    elif command == "call":
        attempt(lambda: client.call(send))
    elif command == "deadline":
        tell("deadline", client.deadline)
