"""Builds and owns everything: the only room that knows both drivers and crm."""
