"""The command ``replay``: a recording, the state of the replay, and the run that sends it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import click

from event_backbone.errors import Fault, SettingsError
from event_backbone.events.schema import utc_now
from event_backbone.kafka.access import is_kafka
from event_backbone.process.urls import without_login
from stream_generator.bootstrap import persistence
from stream_generator.commands.options import Delivery, ReplayOptions
from stream_generator.recording.port import Recording
from stream_generator.recording.replay_plan import ReplayPlan
from stream_generator.recording.sources import RecordingOptions, open_recording, source_name
from stream_generator.runs.run import ReplayKeeper, StreamRun
from stream_generator.sending.pacing import StoppableClock
from stream_generator.sending.resuming import ReplayOf, ReplayState, StateFile
from stream_generator.settings import GeneratorSettings


@dataclass(frozen=True)
class ReplayCommand:
    """The ``replay`` command: sends a recorded stream again."""

    settings: GeneratorSettings
    delivery: Delivery
    options: ReplayOptions

    def execute(self) -> int:
        """Return the exit code: 0, 1 when something failed, or 128 + the signal.

        Raises:
            SettingsError: the source is no recording or empty, or the state is another replay's.
        """
        if is_kafka(self.options.source) and self.options.new_ids and self.options.labels:
            message = "labels of a topic name recorded ids: give --no-labels as well"
            raise SettingsError("replay", [Fault("--new-ids", "labels", message)])
        file = self._state_file()
        kept, resume = file.read(self._replay_of), self.options.resume
        if resume and kept is not None and kept.finished:
            click.echo(f"state      finished before: {kept.mark.done} records ({file.path})")
            return 0
        state = kept if resume and kept is not None else self._new_state()
        return self._run(state, file)

    def _run(self, state: ReplayState, file: StateFile) -> int:
        clock = StoppableClock()
        recording = self._open(state, clock)
        try:
            total = self._total(recording)
            file.write(state)
            plan = ReplayPlan(
                speed=self.options.speed,
                run_id=state.run_id,
                new_ids=self.options.new_ids,
                send_labels=self.options.labels,
                labelled_at=state.started_at,
                first_index=state.mark.done,
            )
            if state.mark.done:
                click.echo(f"resumed    behind {state.mark.done} of {total} records", err=True)
            items = plan.items(recording.items(state.mark.cursor))
            delivery = replace(self.delivery, run_id=state.run_id)
            return StreamRun(self.settings, delivery, total, keeper=ReplayKeeper(file, state)).execute(items, clock)
        finally:
            recording.close()

    def _open(self, state: ReplayState, clock: StoppableClock) -> Recording:
        wanted = RecordingOptions(
            self.settings,
            self.options.period,
            now=state.started_at,
            persistence=persistence(self.settings, clock),
            needs_times=self.options.speed is not None,
            with_labels=self.options.labels,
            topic=self.options.topic,
        )
        return open_recording(self.options.source, wanted)

    def _total(self, recording: Recording) -> int:
        total = recording.count()
        if not total:
            raise SettingsError(
                source_name(self.options.source, self.options.topic),
                [Fault("--from", "empty", "holds no prediction of that time")],
            )
        return total

    @property
    def _replay_of(self) -> ReplayOf:
        since, until = self.options.period.as_text()
        return ReplayOf(
            case=self.settings.case,
            source=source_name(self.options.source, self.options.topic),
            target=without_login(self.delivery.target or self.settings.prediction_url),
            since=since,
            until=until,
            labels=self.options.labels,
            new_ids=self.options.new_ids,
        )

    def _new_state(self) -> ReplayState:
        return ReplayState(self._replay_of, self.delivery.run_id, utc_now())

    def _state_file(self) -> StateFile:
        default = self.settings.state_dir / "replays" / f"{self._replay_of.digest}.json"
        return StateFile(self.options.state_path or default)
