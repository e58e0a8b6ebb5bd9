# What Terraform finds in its environment under `dd-oauth exec`, so that no token stands here, in a
# variable, or in the state:
#
#   provider "datadog" {}    # version 4: DD_BEARER_TOKEN, and DD_HOST for the site
#
# This example needs no provider: it calls the API as one would, and keeps no answer.

terraform {
  required_version = ">= 1.4"
}

variable "path" {
  description = "Path of the API that is called"
  type        = string
  default     = "/api/v2/current_user"
}

variable "calls" {
  description = "How often it is called"
  type        = number
  default     = 1
}

resource "terraform_data" "call" {
  count            = var.calls
  input            = var.path
  triggers_replace = [var.path]

  provisioner "local-exec" {
    # The token reaches curl on standard input: arguments can be seen by others.
    command = "printf 'Authorization: Bearer %s' \"$DD_BEARER_TOKEN\" | curl -sSf -o /dev/null -H @- \"$DD_HOST${self.input}\""
  }
}
