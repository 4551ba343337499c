"""The bot: reads source posts, generates candidates for a curator's queue, and sends the accepted ones."""
