# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the nodes, with range and text; ``declaration.py`` makes ROS parameters of them.

``config/policy.yaml`` and ``config/sim.yaml`` hold the same values; a test compares both ways.
"""

import dataclasses
from dataclasses import dataclass

from dysl_vla_ros.control.bounds import SafetyBounds
from dysl_vla_ros.evaluation.manifest import RENDERER
from dysl_vla_ros.nodes.declaration import declare, field, flatten, validate
from dysl_vla_ros.observation.freeze import FreezeLimits
from dysl_vla_ros.skipping.names import STRATEGIES

__all__ = ['BridgeParameters', 'GovernorParameters', 'InputParameters', 'OutputParameters',
           'PolicyParameters', 'SafetyParameters', 'declare', 'field', 'flatten']


@dataclass(frozen=True)
class InputParameters:
    """``inputs.*`` of ``policy_node``: where observations come from and what counts as one."""

    image_static: str = field('image_static', 'Topic of the third-person camera.')
    image_gripper: str = field('image_gripper', 'Topic of the wrist camera.')
    joint_states: str = field('joint_states', 'Topic of the joint states.')
    ee_pose: str = field('ee_pose', 'Topic of the measured pose of the tool centre point.')
    scene_state: str = field(
        'scene_state', 'Topic of the privileged state of the simulation; only the scripted '
        'expert subscribes to it.')
    image_transport: str = field(
        'raw', 'raw: sensor_msgs/Image; compressed: CompressedImage (JPEG or PNG).',
        choices=('raw', 'compressed'))
    reliability: str = field(
        'best_effort', 'Quality of service asked of cameras and proprioception; best_effort '
        'matches every publisher.', choices=('best_effort', 'reliable'))
    static_frame: str = field('', 'frame_id the static camera must carry; empty takes any.')
    gripper_frame: str = field('', 'frame_id the wrist camera must carry; empty takes any.')
    arm_joints: tuple[str, ...] = field(
        tuple(f'panda_joint{i}' for i in range(1, 8)),
        "Names of the arm joints in joint_states, in the order of CALVIN's robot_obs.")
    finger_joints: tuple[str, ...] = field(
        ('panda_finger_joint1', 'panda_finger_joint2'),
        'Names of the finger joints; their positions in metres add up to the gripper width.')
    max_pose_age_s: float = field(
        0.1, 'Trigger timer: proprioception older than this is not used.', 0.001, 60.0)
    max_identical_images: int = field(
        0, 'So many images with the very same bytes mean a frozen camera (real ones have noise); '
           '0 does not look, as in simulation a still scene is lawful.', 0, 10_000)
    max_identical_moving: int = field(
        0, 'So many images with the very same bytes while the tool moved mean a frozen camera, '
           'once 30 images that differed while the tool was at rest have shown its noise; with 3 '
           'and cameras at 30 Hz the arm stops within 0.1 s. 0 does not look, 1 is not possible. '
           'Reads ee_pose; where nobody publishes it, the commands count as motion.', 0, 10_000)
    frozen_shift_m: float = field(
        0.0005, 'max_identical_moving: translation since the first of these images that counts '
                'as motion; above the noise of ee_pose.', 0.0, 1.0)
    frozen_turn_rad: float = field(
        0.005, 'max_identical_moving: rotation that counts as motion.', 0.0, 3.2)

    def __post_init__(self) -> None:
        """Raise ValueError for a value outside its range or choices."""
        validate(self)
        if self.max_identical_moving == 1 or self.max_identical_images == 1:
            raise ValueError('inputs.max_identical_images and inputs.max_identical_moving: one '
                             'image alone is never frozen; expected 0, or 2 or more')

    @property
    def freeze(self) -> FreezeLimits:
        """When a camera counts as frozen."""
        return FreezeLimits(self.max_identical_images, self.max_identical_moving,
                            self.frozen_shift_m, self.frozen_turn_rad)


@dataclass(frozen=True)
class OutputParameters:
    """``outputs.*`` of ``policy_node``: adapters to arm stacks, beside ``~/action``."""

    twist: bool = field(False, 'Publish ~/command_twist (TwistStamped) for MoveIt Servo.')
    pose: bool = field(False, 'Publish ~/command_pose (PoseStamped) for a Cartesian controller.')
    gripper: str = field(
        'none', 'none; float64: topic ~/command_gripper (position); gripper_command and '
        'parallel_gripper_command: that action of control_msgs at gripper_action.',
        choices=('none', 'float64', 'gripper_command', 'parallel_gripper_command'))
    rate_hz: float = field(
        50.0, 'Trigger timer: rate of twists and of poses interpolated between two actions.',
        1.0, 1000.0)
    lifetime_periods: float = field(
        1.0, 'Control periods for which an action moves the arm; then zero twists. More than 1 '
             'bridges late actions and moves farther than the policy meant.', 0.5, 3.0)
    twist_units: str = field(
        'speed_units', 'As command_in_type of MoveIt Servo: speed_units (m/s, rad/s) or unitless.',
        choices=('speed_units', 'unitless'))
    twist_linear_scale: float = field(
        0.4, "Servo's scale.linear in m/s: divides unitless values; the limit of speed_units.",
        0.001, 10.0)
    twist_angular_scale: float = field(0.8, "Servo's scale.rotational in rad/s.", 0.001, 20.0)
    servo_node: str = field(
        '', 'Name of the Servo node whose switch_command_type is called before the first twist or '
            'pose; empty calls nothing (not Servo, or Humble). Needs moveit_msgs.')
    gripper_action: str = field(
        '~/gripper_cmd', "Name of the gripper's action (action names cannot be remapped).")
    gripper_open: float = field(
        0.0, 'Position of the open gripper in the unit of its controller; with a gripper output '
             'it must differ from gripper_closed.', -10.0, 10.0)
    gripper_closed: float = field(0.0, 'Position of the closed gripper.', -10.0, 10.0)
    gripper_effort: float = field(0.0, 'max_effort of a gripper goal.', 0.0, 1000.0)
    gripper_joint: str = field('', 'Joint named in goals of parallel_gripper_command.')
    markers: bool = field(
        False, 'Publish ~/markers for RViz: workspace, path coloured by executed layers.')

    def __post_init__(self) -> None:
        """Raise ValueError for a value outside its range, or a gripper that does not move."""
        validate(self)
        if self.gripper != 'none' and self.gripper_open == self.gripper_closed:
            raise ValueError('outputs.gripper needs outputs.gripper_open and '
                             'outputs.gripper_closed, which have no default')

    @property
    def moves_arm(self) -> bool:
        """Whether something beside ``~/action`` goes out."""
        return self.twist or self.pose or self.gripper != 'none'


_FOUR = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class SafetyParameters:
    """``safety.*`` of ``policy_node``; the bounds are those of ``control/bounds.py``."""

    mode: str = field(
        'simulation', "simulation: CALVIN's own bounds, for the simulation bridge only. bounded: "
        'every bound below must be given. unbounded: arm outputs without bounds; write it only '
        'if something else limits the arm.', choices=('simulation', 'bounded', 'unbounded'))
    dry_run: bool = field(
        True, 'Keep the arm outputs silent until ~/enable is called with true.')
    linear_speed_m_s: tuple[float, ...] = field(_FOUR, 'Largest speed: x, y, z, norm.')
    angular_speed_rad_s: tuple[float, ...] = field(_FOUR, 'Largest rotation speed: x, y, z, norm.')
    linear_acceleration_m_s2: tuple[float, ...] = field(
        _FOUR, 'Largest acceleration: x, y, z, norm.')
    angular_acceleration_rad_s2: tuple[float, ...] = field(
        _FOUR, 'Largest rotation acceleration: x, y, z, norm.')
    linear_jerk_m_s3: tuple[float, ...] = field(_FOUR, 'Largest jerk: x, y, z, norm.')
    angular_jerk_rad_s3: tuple[float, ...] = field(_FOUR, 'Largest rotation jerk: x, y, z, norm.')
    workspace_min_m: tuple[float, ...] = field(
        (0.0, 0.0, 0.0), 'Lower corner of the box for the commanded position, frame action_frame.')
    workspace_max_m: tuple[float, ...] = field((0.0, 0.0, 0.0), 'Upper corner of the box.')
    min_height_m: float = field(0.0, 'Lowest commanded z, frame action_frame.', -10.0, 10.0)
    tool_axis: tuple[float, ...] = field((0.0, 0.0, 1.0), 'Axis of the tool, tool frame.')
    cone_direction: tuple[float, ...] = field(
        (0.0, 0.0, -1.0), 'Direction the tool axis keeps to, frame action_frame.')
    cone_angle_rad: float = field(
        0.0, 'Largest angle between tool axis and cone direction.', 0.0, 6.3)
    gripper_hysteresis: float = field(
        0.0, 'Half width of the band around probability 0.5 in which the gripper stays.',
        0.0, 0.49)
    gripper_dwell_s: float = field(
        0.0, 'Shortest time between two changes of the gripper.', 0.0, 60.0)
    trip_after: int = field(
        0, 'So many limited actions in a row stop the arm until ~/reset; 0 never.', 0, 100_000)
    deadman: str = field(
        'none', 'none, bool (topic deadman, std_msgs/Bool) or joy (topic joy, one button).',
        choices=('none', 'bool', 'joy'))
    deadman_button: int = field(0, 'Index of the button that must be held.', 0, 100)
    deadman_timeout_s: float = field(
        0.1, 'A deadman topic silent for so long counts as released. Its publisher must send at '
             'twice that rate or more, held or not: 20 Hz or more with 0.1 s (autorepeat_rate of '
             'joy_node, whose default is 20).', 0.01, 10.0)

    def __post_init__(self) -> None:
        """Raise ValueError for a value outside its range or choices."""
        validate(self)


@dataclass(frozen=True)
class GovernorParameters:
    """``governor.*`` of ``policy_node``: skip more layers when the machine is busy."""

    budget_ms: float = field(
        0.0, 'Latency from observation to action that 95 % of the steps shall keep; 0 is off.',
        0.0, 10_000.0)
    min_threshold: float = field(
        0.0, 'Floor of the skip threshold; lower skips more layers. 0: half of the calibrated '
             'threshold.', 0.0, 0.99)
    full_depth_steps: int = field(
        5, 'Steps with all layers after the gripper has changed.', 0, 1000)

    def __post_init__(self) -> None:
        """Raise ValueError for a value outside its range or choices."""
        validate(self)


@dataclass(frozen=True)
class PolicyParameters:
    """Parameters of ``policy_node``."""

    checkpoint: str = field(
        'package://dysl_vla_ros/weights/dysl-mini',
        'Weights folder; package://dysl_vla_ros/ stands for the share folder.')
    strategy: str = field(
        'dysl', 'Skip strategy: dysl skips layers, dense runs all of them; the others are rivals '
                'and ablations (docs/reference/strategies.md).', choices=tuple(STRATEGIES))
    budget: float = field(
        0.0, 'Mean share of decoder layers, one that the strategy was calibrated for; 0 takes the '
             'default of its files.', 0.0, 1.0)
    device: str = field('cpu', 'Torch device, for example cpu or cuda:0.')
    dtype: str = field(
        'stored', "Precision of weights and activations: stored keeps the file's; fp32, bf16, "
        'fp16. Actions are float32 in any case.', choices=('stored', 'fp32', 'bf16', 'fp16'))
    int8: bool = field(False, "Keep the decoder's matrices as int8 weights (needs torchao).")
    compile: bool = field(
        False, 'torch.compile of vision tower, resampler and decoder layers; minutes at start. '
               'Left out with a warning where there is no compiler.')
    cuda_graphs: bool = field(
        False, 'Replay frequent decoder paths as CUDA graphs; left out with a warning on a CPU.')
    torch_threads: int = field(
        1, 'CPU threads of one inference; 1 is fastest for the mini model on a small machine.',
        1, 256)
    policy_factory: str = field(
        '', 'module:function that returns a policy instead of loading the checkpoint; called '
            'with these parameters. For tests and scripted policies; the expert of the '
            'simulation is dysl_vla_ros.nodes.expert_policy:create.')
    trigger: str = field(
        'observation', 'observation: act once per set of equal stamps (lockstep simulation). '
        'timer: act at rate_hz on the newest aligned samples (robot, live simulation).',
        choices=('observation', 'timer'))
    rate_hz: float = field(30.0, 'Control rate with trigger timer; CALVIN policies expect 30.',
                           0.1, 1000.0)
    max_observation_age_s: float = field(
        0.2, 'Trigger timer: a sample older than this is not used, and no action is sent.',
        0.001, 60.0)
    max_stamp_spread_s: float = field(
        0.05, 'Trigger timer: largest difference between the stamps of one observation.',
        0.0, 60.0)
    input_timeout_s: float = field(
        2.0, 'Wall time without any observation after which the node reports the loss.',
        0.1, 3600.0)
    action_frame: str = field('world', 'frame_id of the actions: axes of the policy.')
    autostart: bool = field(
        True, 'Configure and activate at start; false leaves the node unconfigured.')
    inputs: InputParameters = dataclasses.field(default_factory=InputParameters)
    outputs: OutputParameters = dataclasses.field(default_factory=OutputParameters)
    safety: SafetyParameters = dataclasses.field(default_factory=SafetyParameters)
    governor: GovernorParameters = dataclasses.field(default_factory=GovernorParameters)

    def __post_init__(self) -> None:
        """Raise ValueError for a value outside its range or choices, or bounds that miss."""
        validate(self)
        safety, outputs = self.safety, self.outputs
        if self.outputs.moves_arm and safety.mode == 'simulation' and safety.dry_run:
            raise ValueError('arm outputs are on: give safety.mode bounded with its bounds (or '
                             'unbounded), or safety.dry_run false if the arm is the simulation')
        if safety.mode == 'bounded':
            self.bounds()
        if outputs.twist and outputs.pose:
            raise ValueError('outputs.twist and outputs.pose would both move the arm; set one')

    def bounds(self) -> SafetyBounds:
        """The bounds of mode ``bounded``.

        Raises:
            ConfigError: Naming every bound that is missing or never engages.
        """
        return SafetyBounds(**{f.name: getattr(self.safety, f.name)
                               for f in dataclasses.fields(SafetyBounds)})


@dataclass(frozen=True)
class BridgeParameters:
    """Parameters of ``sim_bridge_node``."""

    mode: str = field(
        'lockstep', 'lockstep: one step per action, deterministic. live: 30 Hz of /clock whether '
        'or not an action came.', choices=('lockstep', 'live'))
    scene: str = field('calvin_scene_D', 'Scene of the play table.')
    assets_dir: str = field('', 'Folder with the official CALVIN assets; empty uses ours.')
    renderer: str = field(
        RENDERER, 'tiny: plain software rendering. tiny_layered: the same up to a few pixels, '
                  'three times faster for the static camera. egl: on a GPU.',
        choices=('tiny', 'tiny_layered', 'egl'))
    env_factory: str = field(
        '', 'module:function that returns (environment, oracle) instead of the play table; '
            'called with these parameters. For tests.')
    suite: str = field(
        '', 'Episodes to evaluate: furniture-singles, furniture-chains, shuffled, demo, or a file '
            'of dysl-vla evaluate --save-suite; empty waits for ~/reset_episode.')
    results_dir: str = field('', 'Folder for recordings and results; empty records nothing.')
    policy_action: str = field(
        'policy_node/execute_instruction', "Name of the policy's ExecuteInstruction action.")
    republish_s: float = field(
        1.0, 'Lockstep: wall time after which an unanswered observation is sent again.',
        0.01, 60.0)
    policy_timeout_s: float = field(
        5.0, 'Wall time without an answer after which the policy counts as lost and the episode '
             'is restarted as soon as it returns.', 0.1, 3600.0)
    max_action_age_s: float = field(
        0.2, 'Live: an action whose observation is older than this is not applied.', 0.001, 60.0)
    exit_when_done: bool = field(
        False, 'End the process with code 0 after the last episode of the suite.')
    command_interface: str = field(
        'action', 'What moves the arm: action (EndEffectorAction), or the arm-stack inputs twist '
        "(MoveIt Servo's rules) or pose (a Cartesian controller's) with a Float64 gripper.",
        choices=('action', 'twist', 'pose'))
    servo_units: str = field(
        'speed_units', "Twists: as Servo's command_in_type.", choices=('speed_units', 'unitless'))
    servo_linear_scale: float = field(
        5.0, "Twists: Servo's scale.linear in m/s; the default never clamps CALVIN's actions.",
        0.001, 10.0)
    servo_angular_scale: float = field(
        10.0, "Twists: Servo's scale.rotational in rad/s.", 0.001, 20.0)
    servo_timeout_s: float = field(
        0.1, 'Live: a twist stamped longer ago is not executed, as incoming_command_timeout.',
        0.001, 10.0)
    publish_scene_state: bool = field(
        False, 'Publish scene_state, the privileged state that the scripted expert needs. A '
        'policy under test must not read it.')
    gripper_threshold: float = field(
        0.02, 'Float64 gripper positions above this open the gripper, others close it.', -1.0, 1.0)

    def __post_init__(self) -> None:
        """Raise ValueError for a value outside its range or choices."""
        validate(self)
