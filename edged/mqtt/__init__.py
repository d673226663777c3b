"""MQTT: the contract's topics and payloads, and a delivery that accounts for every message.

What is promised of detections

- At least once: a message counts as delivered when the broker has acknowledged it (QoS 1), and is sent again
  after every lost connection until then. Duplicates carry the same ``boot_id`` and ``seq``. First copies
  come in order, so a gap in ``seq`` is a loss.
- Memory is bounded: ``EDGED_MQTT_QUEUE`` messages wait, at most 64 more are on their way. A live source is
  never held up; when memory is full, the oldest message goes and is counted. A file waits for a slow broker,
  and ten seconds for one that has gone.
- With ``EDGED_SPOOL`` what has waited for a second goes to disk (SQLite, synced at every write, bounded by
  size and age) and is sent later, at most 1,000 a second, after a restart, too. What a kill -9 or a loss of
  power costs is what was made in the last second or so, and what was sent and not yet acknowledged. Nothing
  is spooled while the broker keeps up.
- A broker that acknowledges a message and then forgets it, such as a mosquitto that is killed, is beyond
  what a client can mend.

The account: ``made + recovered = acknowledged + spooled + queued + in_flight + sum(dropped)``. It holds at
every moment since the start, or since a reload that changed the MQTT settings. Causes of ``dropped``:

==================  =================================================================================
superseded          a newer value of the same topic took its place before it was sent
disconnected        timings, or the answer to a command, while there was no connection
queue_full          the oldest in memory had to go, and there is no spool
disk_full           the same, with a spool whose disk is full
spool_full          the oldest on disk had to go: EDGED_SPOOL_MAX_MB
spool_age           too old by the time the machine has run: EDGED_SPOOL_MAX_AGE
spool_damaged       the file was not what was written; it is set aside as ``*.damaged``
spool_failed        the disk failed; what is still on it comes with the next start
too_large           larger than the broker takes
refused_*           the broker's reason, such as refused_not_authorized (MQTT 5; 3.1.1 cannot tell)
shutdown            there was no time to send it before the end, and no spool
==================  =================================================================================

Retained values (availability, state, counts, status, snapshot, the announcement to Home Assistant) are
published on every connect and whenever they change; only the newest of each matters, and only that is kept.
"""
