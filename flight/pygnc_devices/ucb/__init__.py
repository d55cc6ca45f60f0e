"""Aceinna (MEMSIC, Crossbow) DMU38x and OpenIMU: the "UCB" serial protocol."""
