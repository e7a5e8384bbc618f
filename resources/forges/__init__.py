"""GitHub and GitLab: pull requests, their comment, commit statuses and approvals. Does not belong here: what is posted."""
