"""The desktop: a tray icon and one window. Talks to the agent by its control channel only.

``presenter`` decides what is shown and knows no Qt; ``windows``, ``models``, ``widgets`` show it.
Never imports the engine: agent.control, agent.model, agent.errors, the message catalogue, paths.
"""
