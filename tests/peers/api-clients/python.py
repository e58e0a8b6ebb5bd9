"""Lists monitors with Datadog's API client for Python, as often as the argument says, with tokens
of dd-oauth: what a caller does by protocol.md, section 15, and nothing more."""

import subprocess
import sys

from datadog_api_client import ApiClient, Configuration
from datadog_api_client.exceptions import ApiException
from datadog_api_client.v1.api.monitors_api import MonitorsApi


def ask(*lines):
    """Runs the helper with a request, and reads its answer."""
    request = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(
        ["dd-oauth"], input=request, stdout=subprocess.PIPE, text=True, timeout=90, check=True
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def list_monitors(answer):
    configuration = Configuration(host=answer["api_url"], access_token=answer["access_token"])
    with ApiClient(configuration) as client:
        MonitorsApi(client).list_monitors()


answer = ask("get")
for _ in range(int(sys.argv[1])):
    try:
        list_monitors(answer)
    except ApiException as error:
        if error.status != 401:
            raise
        rejected = answer["access_token"]
        ask("erase", f"site={answer['site']}", f"access_token={rejected}")
        answer = ask("get")
        list_monitors(answer)
