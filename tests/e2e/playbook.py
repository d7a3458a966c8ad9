#!/usr/bin/env python3
"""Ansible's own modules, from Debian's package, against a manager: a group is made, changed, refreshed and taken away."""

import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import aws  # noqa: E402
from manager import Manager, main  # noqa: E402

PLAYBOOK = r"""
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: /usr/bin/python3
  module_defaults:
    group/aws: &aws
      endpoint_url: "{{ endpoint }}"
      region: local
      access_key: "{{ key }}"
      secret_key: "{{ secret }}"
    group/community.aws.aws: *aws
    group/amazon.aws.aws: *aws
  tasks:
    - community.aws.autoscaling_launch_config:
        name: lc
        image_id: ami-1
        instance_type: t3.micro
        user_data: |
          #!/bin/sh
          exec sleep 100000
    - amazon.aws.autoscaling_group: &group
        name: web
        launch_config_name: lc
        min_size: 0
        max_size: 4
        desired_capacity: 2
        availability_zones: [local-a]
        health_check_period: 0
        wait_for_instances: true
        wait_timeout: 60
        tags:
          - app: shop
            propagate_at_launch: true
      register: made
    - amazon.aws.autoscaling_group: *group
      register: again
    - assert: {that: [made.changed, not again.changed, made.in_service_instances == 2]}
    - community.aws.autoscaling_policy:
        asg_name: web
        name: out
        policy_type: StepScaling
        adjustment_type: ChangeInCapacity
        metric_aggregation: Average
        step_adjustments:
          - lower_bound: 0
            scaling_adjustment: 1
    - community.aws.autoscaling_scheduled_action:
        autoscaling_group_name: web
        scheduled_action_name: night
        recurrence: 0 22 * * *
        min_size: 0
        max_size: 4
        desired_capacity: 1
        time_zone: Europe/Paris
    - community.aws.autoscaling_lifecycle_hook:
        autoscaling_group_name: web
        lifecycle_hook_name: drain
        transition: autoscaling:EC2_INSTANCE_TERMINATING
        heartbeat_timeout: 30
        default_result: CONTINUE
    - community.aws.ec2_launch_template:
        name: sleeper
        user_data: "{{ '#!/bin/sh\nexec sleep 100001\n' | b64encode }}"
        instance_type: t3.micro
    - amazon.aws.autoscaling_group:
        name: web
        launch_template:
          launch_template_name: sleeper
        min_size: 1
        max_size: 4
        desired_capacity: 3
        availability_zones: [local-a]
        health_check_period: 0
        wait_for_instances: true
        wait_timeout: 60
    - community.aws.autoscaling_lifecycle_hook:
        autoscaling_group_name: web
        lifecycle_hook_name: drain
        state: absent
    - community.aws.autoscaling_instance_refresh:
        name: web
        state: started
        strategy: Rolling
        preferences:
          min_healthy_percentage: 50
          instance_warmup: 0
    - community.aws.autoscaling_instance_refresh_info:
        name: web
      register: refreshes
      until: refreshes.instance_refreshes[0].status == 'Successful'
      retries: 60
      delay: 1
    - amazon.aws.autoscaling_group_info:
        name: web
      register: info
    - assert:
        that:
          - info.results[0].desired_capacity == 3
          - info.results[0].launch_template.launch_template_name == 'sleeper'
    - amazon.aws.autoscaling_group:
        name: web
        state: absent
        wait_timeout: 60
    - community.aws.autoscaling_launch_config:
        name: lc
        state: absent
    - community.aws.ec2_launch_template:
        name: sleeper
        state: absent
"""


def a_playbook_runs_unchanged(bin_dir):
    if not shutil.which("ansible-playbook"):
        return "ansible-playbook is not installed"
    with Manager(bin_dir) as manager, tempfile.TemporaryDirectory() as home:
        path = os.path.join(home, "play.yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(PLAYBOOK)
        settings = aws.profile(manager)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "ANSIBLE_"))}
        environment.update(HOME=home, ANSIBLE_LOCALHOST_WARNING="false", ANSIBLE_NOCOLOR="1", LC_ALL="C.UTF-8")
        done = subprocess.run(
            ["ansible-playbook", "-i", "localhost,", path, "-e",
             f"endpoint={settings['endpoint_url']} key={settings['aws_access_key_id']} "
             f"secret={settings['aws_secret_access_key']}"],
            env=environment, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert not manager.api("DescribeAutoScalingGroups").get("AutoScalingGroups")
        assert not manager.instance_processes(), "instances outlived their group"


TESTS = [a_playbook_runs_unchanged]

if __name__ == "__main__":
    main(TESTS)
